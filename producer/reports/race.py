"""What a person sees while models are overloaded: bars that race on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from producer.experiments.overload import Leg
from producer.measurement.load import Progress
from producer.reports.words import NONE


class Lines:
    """A line for each step, and each leg."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = _Clock()

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


class Race:
    """A bar for each model: how much of what has arrived is served, and how much waits."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clock = _Clock()
        self._what = ""
        self._rows: dict[str, tuple[Progress, str]] = {}
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
        self._live.stop()

    def doing(self, what: str) -> None:
        """Show what goes on."""
        self._what = what
        self._draw()

    def measured(self, share: float) -> None:
        """Note how far it is."""
        self._clock.share = share

    def moved(self, model: str, progress: Progress, multiple: float | None) -> None:
        """Move a bar."""
        self._rows[model] = progress, NONE if multiple is None else f"{multiple:.1f} ×"
        if time.monotonic() - self._drawn > 0.25:
            self._draw()

    def ended(self, leg: Leg) -> None:
        """Show where a model fell behind."""
        behind = leg.fell_behind
        progress, _ = self._rows.get(leg.model, (Progress(0.0, 0, 0, 0), ""))
        self._rows[leg.model] = progress, "kept up" if behind is None else f"< {leg.multiple(behind):.1f} ×"
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        wide = self._console.width >= 80
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, ratio=3)
        table.add_column(ratio=4)
        for _ in range(4 if wide else 2):
            table.add_column(justify="right", no_wrap=True)
        for model, (progress, state) in self._rows.items():
            bar = ProgressBar(total=max(1, progress.due), completed=progress.ended - progress.refused)
            figures = [f"{progress.due - progress.ended:,} wait", state]
            if wide:
                figures = [f"{progress.due:,} arrived", f"{progress.refused:,} refused", *figures]
            table.add_row(model, bar, *figures)
        self._live.update(Group(table, Text(f"{self._what}{self._clock.left()}")), refresh=True)


class _Clock:
    """Estimates the time left from the share that is done."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.share = 0.0

    def left(self) -> str:
        if self.share <= 0.02:
            return ""
        left = (time.monotonic() - self._begun) * (1 / self.share - 1)
        return f" (about {left:.0f} s left)" if left >= 1 else ""
