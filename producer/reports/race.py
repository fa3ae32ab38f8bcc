"""What a person sees while models are overloaded: bars that race on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from producer.experiments.overload import Leg
from producer.measurement.load import Progress
from producer.reports.progress import FREE, Clock, some
from producer.reports.words import NONE


class Lines:
    """A line for each step, and each leg."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = Clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""

    def doing(self, what: str) -> None:
        """Say what goes on, and how long it all may take."""
        self._say(f"{what}{self._clock.left()}")

    def measured(self, share: float) -> None:
        """Note how far it is."""
        self._clock.share = share

    def moved(self, model: str, progress: Progress, multiple: float | None) -> None:
        """Say nothing: the end will say it."""

    def ended(self, leg: Leg) -> None:
        """Say what became of a load."""
        behind = leg.fell_behind
        kept = "kept up" if behind is None else f"kept up until {leg.multiple(behind):.1f} times its capacity"
        self._say(
            f"{leg.model}: {len(leg.load.trace):,} arrived, {len(leg.served):,} served, "
            f"{len(leg.load.refused):,} refused; {kept}"
        )

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


#: What may stand beside a bar, with its width, as it is left out of narrow windows: the last one first.
#: Widths are fixed, up to 99,999 calls: else bars would jump from frame to frame.
_FIGURES = (("state", 8), ("wait", 11), ("refused", 14), ("arrived", 14))
#: Columns that a bar needs to say anything.
_BAR = 12


@dataclass(frozen=True, slots=True)
class _Row:
    state: str
    progress: Progress | None = None

    def figure(self, name: str) -> str:
        if name == "state":
            return self.state
        if self.progress is None:
            return ""
        due, refused = self.progress.due, self.progress.refused
        number = {"wait": due - self.progress.ended, "refused": refused, "arrived": due}[name]
        return f"{number:,} {name}"


class Race:
    """A bar for each model: how much of what has arrived is served, and how much waits."""

    def __init__(self, console: Console, models: Sequence[str]) -> None:
        self._console = console
        self._clock = Clock()
        self._what = ""
        self._rows = {model: _Row("not yet") for model in models}
        # Few frames: drawing takes CPU time from what is measured.
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars off the screen; the report tells the rest."""
        self._live.update(Group())  # at its end rich draws once more, and not within the window
        self._live.stop()

    def doing(self, what: str) -> None:
        """Show what goes on."""
        self._what = what
        model, left_out, _ = what.partition(" is left out: ")
        if left_out:
            self._rows[model] = _Row("left out")
        self._draw()

    def measured(self, share: float) -> None:
        """Note how far it is."""
        self._clock.share = share

    def moved(self, model: str, progress: Progress, multiple: float | None) -> None:
        """Move a bar."""
        self._rows[model] = _Row(NONE if multiple is None else f"{multiple:.1f} ×", progress)
        if time.monotonic() - self._drawn > 0.25:
            self._draw()

    def ended(self, leg: Leg) -> None:
        """Show where a model fell behind, and the report's own figures."""
        behind, load = leg.fell_behind, leg.load
        progress = Progress(load.ended, len(load.trace), len(load.refused), len(load.trace) - len(load.left))
        state = "kept up" if behind is None else f"< {leg.multiple(behind):.1f} ×"
        self._rows[leg.model] = _Row(state, progress)
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        room = self._console.height - FREE
        current = self._what.partition(":")[0]
        what = Text(f"{self._what}{self._clock.left()}")
        lines = len(what.wrap(self._console, self._console.width))
        rows = self._table(some(list(self._rows), current, room - lines), current)
        self._live.update(Group(rows, what), refresh=True)

    def _table(self, models: Sequence[str], current: str) -> Table:
        name = max(map(len, self._rows), default=0)
        figures = list(_FIGURES)
        while figures and name + 1 + _BAR + sum(1 + width for _, width in figures) > self._console.width:
            figures.pop()
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, width=name)
        table.add_column(ratio=1)
        for _, width in reversed(figures):
            table.add_column(justify="right", no_wrap=True, width=width)
        for model in models:
            row = self._rows[model]
            progress = row.progress or Progress(0.0, 0, 0, 0)
            bar = ProgressBar(total=max(1, progress.due), completed=progress.ended - progress.refused)
            style = "bold" if model == current else "" if row.progress else "dim"
            table.add_row(model, bar, *(row.figure(name) for name, _ in reversed(figures)), style=style)
        return table
