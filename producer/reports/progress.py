"""What a person sees while a comparison runs: bars and a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleDimensions, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.segment import Segment, Segments
from rich.spinner import Spinner
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text

from producer.measurement.run import Leg, Run
from producer.measurement.summary import complete, makespan
from producer.reports.compare import tables
from producer.reports.terminal import left_out
from producer.reports.words import NONE, seconds

#: Lines of the window that stay free. What has scrolled off at the top can't be erased any more.
FREE = 2
#: Columns for a figure at the end of a bar: with fewer for some of them, all bars would jump.
_FIGURE = 9


def animated(console: Console) -> bool:
    """Whether lines of this console can be drawn again; a dumb terminal shows nothing of what moves."""
    return console.is_terminal and console.is_interactive and not console.is_dumb_terminal


def some(names: Sequence[str], current: str | None, room: int) -> Sequence[str]:
    """Return as many of the names as there is room for, and the current one among them."""
    end = max(room, names.index(current) + 1 if current in names else 0)
    return names[max(0, end - room) : max(0, end)]


class Clock:
    """Estimates the time left from the share that is done."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.share = 0.0

    def left(self) -> str:
        """Write the estimate, to stand behind a step; nothing where there is none to make."""
        if self.share <= 0.02:
            return ""
        left = (time.monotonic() - self._begun) * (1 / self.share - 1)
        return f" (about {left:.0f} s left)" if left >= 1 else ""


class Lines:
    """A line for each thing that happened."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""

    def doing(self, what: str, run: Run) -> None:  # noqa: ARG002
        """Say what begins, unless its end will say it."""
        if not what.startswith("round "):
            self._say(what)

    def begins(self) -> None:
        """Say nothing: the leg's end will say it."""

    def ends(self) -> None:
        """Say nothing yet: what it took is about to be told."""

    def measured(self, leg: Leg, run: Run) -> None:  # noqa: ARG002
        """Say how long a leg took."""
        failed = sum(row.error is not None for row in leg.trace)
        self._say(
            f"round {leg.round}  {leg.model:<20}  {seconds(makespan(leg.trace)):>8}"
            + (f"  {failed} of {len(leg.trace)} calls failed" if failed else "")
        )

    def left_out(self, model: str, why: str, run: Run) -> None:  # noqa: ARG002
        """Say why a model does not run."""
        self._say(f"left out: {model}: {why}")

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar for each model: its median makespan so far, and, of the one that runs, the time that has passed.

    The bars are drawn by whoever refreshes the screen, and from nothing but a clock: what is measured is not
    asked how far it is.

    Attributes:
        models: in which order.
        makespans: the median makespan of each model that has one, in seconds.
        running: the model whose turn it is; None if it is no one's.
        begun: when its calls began, on `time.monotonic`; None while it opens, which no makespan counts.
        ended: when its calls had ended; None while they run.
    """

    models: Sequence[str]
    makespans: Mapping[str, float]
    running: str | None
    begun: float | None
    ended: float | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        passed = 0.0
        if self.running is not None and self.begun is not None:
            passed = (time.monotonic() if self.ended is None else self.ended) - self.begun
        longest = max([*self.makespans.values(), passed], default=0.0)
        grid = Grid.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True, width=_FIGURE)
        for model in self.models:
            if model == self.running:
                # Without anything to measure it by, the bar only shows that something moves.
                bar = self._bar(passed, longest, "cyan", pulse=not self.makespans and self.ended is None)
                figure = "opening …" if self.begun is None else f"{passed:.1f} s"
                grid.add_row(Text(model, style="bold"), bar, figure)
            else:
                taken = self.makespans.get(model)
                figure = NONE if taken is None else seconds(taken)
                grid.add_row(model, self._bar(taken or 0.0, longest, "bar.complete"), figure)
        yield grid

    @staticmethod
    def _bar(length: float, longest: float, style: str, *, pulse: bool = False) -> ProgressBar:
        return ProgressBar(longest or 1.0, length, complete_style=style, finished_style=style, pulse=pulse)


class Table:
    """Bars that race, what is going on, and of the report's own tables what the window has room for."""

    def __init__(self, console: Console) -> None:
        self._spinner = Spinner("dots", Text(""))
        # Few frames: drawing takes CPU time from what is measured.
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._lasting: list[Text] = []
        self._run: Run | None = None
        self._models: list[str] = []
        self._makespans: dict[str, float] = {}
        self._what, self._running = "", ""
        self._begun, self._rounds = time.monotonic(), False
        self._calls_began: float | None = None
        self._calls_ended: float | None = None
        self._laid_out: tuple[Run, ConsoleDimensions, list[list[list[Segment]]]] | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table off the screen; the report prints it for good."""
        self._live.update(Group())  # at its end rich draws once more, and not within the window
        self._live.stop()

    def doing(self, what: str, run: Run) -> None:
        """Show what is going on."""
        if "http" in what:  # a link has to stay where it can be clicked
            self._lasting.append(Text(what))
        of_round = what.startswith("round ")
        if of_round and not self._rounds:  # the budget is that of the rounds, without the cluster's start
            self._begun, self._rounds = time.monotonic(), True
        self._what = what
        self._draw(run, what.partition(": ")[2] if of_round else "")

    def begins(self) -> None:
        """Start the clock of the bar; the next frame will show it."""
        self._calls_began = time.monotonic()

    def ends(self) -> None:
        """Stop it."""
        self._calls_ended = time.monotonic()

    def measured(self, leg: Leg, run: Run) -> None:  # noqa: ARG002
        """Draw the table with the leg in it."""
        self._draw(run)

    def left_out(self, model: str, why: str, run: Run) -> None:  # noqa: ARG002
        """Draw the table with the reason in it."""
        self._draw(run)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        run = self._run
        if run is None:
            return
        passed = time.monotonic() - self._begun
        aim = run.settings["budget"] if self._rounds and run.settings["rounds"] is None else 0.0
        of = f" of about {aim:g} s" if passed < aim else ""
        self._spinner.update(text=Text(f"{self._what} ({passed:.0f} s{of})"))
        above = console.render_lines(Group(*self._lasting), pad=False)
        below = console.render_lines(self._spinner, pad=False)
        height = max(1, options.size.height - FREE)
        models = some(self._models, self._running, max(0, height - len(above) - len(below)))
        bars = Bars(models, self._makespans, self._running, self._calls_began, self._calls_ended)
        lines = [*above, *console.render_lines(bars, pad=False), *below]
        for block in self._still(run, console, options.size):
            if len(lines) + len(block) <= height:  # the report will show what is left out
                lines += block
        yield Segments(segment for line in lines[:height] for segment in (*line, Segment.line()))

    def _still(self, run: Run, console: Console, size: ConsoleDimensions) -> list[list[list[Segment]]]:
        """Lay out what stands still: once, since for each frame it took 30 ms, next to 4 ms for the bars."""
        known = self._laid_out
        if known is None or known[0] is not run or known[1] != size:
            unavailable = [left_out(run)] if run.unavailable else []
            blocks: list[RenderableType] = [*tables(run, console), *unavailable]
            known = run, size, [console.render_lines(block, pad=False) for block in blocks]
            self._laid_out = known
        return known[2]

    def _draw(self, run: Run, running: str = "") -> None:
        legs = {model: complete(run, model) for model in run.models if model not in run.unavailable}
        self._makespans = {
            model: median(makespan(leg.trace) for leg in of) for model, of in legs.items() if of
        }
        self._models = list(legs)
        self._run, self._running, self._calls_began, self._calls_ended = run, running, None, None
        self._live.update(self, refresh=True)


class Share:
    """A bar with the share that is done and an estimate of the time left; on no terminal, a line per step."""

    def __init__(self, console: Console) -> None:
        self._console, self._animated = console, animated(console)
        self._clock = Clock()
        self._bar = Progress(
            # In a narrow window it is the step that is cut, and not the figures.
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=3, no_wrap=True)),
            BarColumn(None, table_column=Column(ratio=1)),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=4,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("", total=1.0)

    def __enter__(self) -> Self:
        if self._animated:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar off the screen."""
        if self._animated:
            self._bar.stop()

    def doing(self, what: str) -> None:
        """Say what goes on."""
        if self._animated:
            self._bar.update(self._task, description=what)
        else:
            self._console.print(Text(f"{what}{self._clock.left()}"), soft_wrap=True)

    def measured(self, share: float) -> None:
        """Move the bar."""
        self._clock.share = share
        self._bar.update(self._task, completed=share)
