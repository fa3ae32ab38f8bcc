"""What a person sees while a comparison runs: bars and a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.segment import Segments
from rich.spinner import Spinner
from rich.table import Table as Grid
from rich.text import Text

from producer.measurement.run import Leg, Run
from producer.measurement.summary import complete, makespan
from producer.reports.compare import tables
from producer.reports.terminal import left_out
from producer.reports.words import NONE, seconds


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
        running: the model that runs now; None if none does.
        begun: when it began to start up, on `time.monotonic`.
    """

    models: Sequence[str]
    makespans: Mapping[str, float]
    running: str | None
    begun: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        passed = time.monotonic() - self.begun
        longest = max([*self.makespans.values(), passed if self.running else 0.0], default=0.0)
        grid = Grid.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        for model in self.models:
            if model == self.running:
                # Without anything to measure it by, the bar only shows that something moves.
                bar = self._bar(passed, longest, "cyan", pulse=not self.makespans)
                grid.add_row(Text(model, style="bold"), bar, f"{passed:.1f} s")
            else:
                taken = self.makespans.get(model)
                figure = NONE if taken is None else seconds(taken)
                grid.add_row(model, self._bar(taken or 0.0, longest, "bar.complete"), figure)
        yield grid

    @staticmethod
    def _bar(length: float, longest: float, style: str, *, pulse: bool = False) -> ProgressBar:
        return ProgressBar(longest or 1.0, length, complete_style=style, finished_style=style, pulse=pulse)


class Table:
    """Bars that race, what is going on, and the report's own table, redrawn after each leg."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._spinner = Spinner("dots", Text(""))
        # Few frames: drawing takes CPU time from what is measured.
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._lasting: list[Text] = []
        self._running: str | None = None
        self._leg_begun = self._begun

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table off the screen; the report prints it for good."""
        self._live.stop()

    def doing(self, what: str, run: Run) -> None:
        """Show what is going on."""
        if "http" in what:  # a link has to stay where it can be clicked
            self._lasting.append(Text(what))
        now = time.monotonic()
        passed = now - self._begun
        self._running, self._leg_begun = what.partition(": ")[2] if what.startswith("round ") else None, now
        aim = run.settings["budget"] if run.settings["rounds"] is None else None
        of = f" of about {aim:g} s" if aim is not None and passed < aim else ""
        self._spinner.update(text=Text(f"{what} ({passed:.0f} s{of})"))
        self._draw(run)

    def measured(self, leg: Leg, run: Run) -> None:  # noqa: ARG002
        """Draw the table with the leg in it."""
        self._running = None
        self._draw(run)

    def left_out(self, model: str, why: str, run: Run) -> None:  # noqa: ARG002
        """Draw the table with the reason in it."""
        self._running = None
        self._draw(run)

    def _draw(self, run: Run) -> None:
        unavailable = [left_out(run)] if run.unavailable else []
        # What moves comes first: of what is higher than the window, the lower end is cut off.
        moving: list[RenderableType] = [*self._lasting, self._bars(run), self._spinner]
        # What stands still is laid out once: for each frame it took 30 ms, next to 4 ms for the bars.
        still = Group(*tables(run, self._console), *unavailable)
        lines = self._console.render_lines(still, pad=False, new_lines=True)
        laid_out = Segments(segment for line in lines for segment in line)
        self._live.update(Group(*moving, laid_out), refresh=True)

    def _bars(self, run: Run) -> Bars:
        legs = {model: complete(run, model) for model in run.models if model not in run.unavailable}
        makespans = {model: median(makespan(leg.trace) for leg in of) for model, of in legs.items() if of}
        return Bars(list(legs), makespans, self._running, self._leg_begun)


class Share:
    """A bar with the share that is done and an estimate of the time left; on no terminal, a line per step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=4,
            transient=True,
        )
        self._task = self._bar.add_task("", total=1.0)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar off the screen."""
        if self._console.is_terminal:
            self._bar.stop()

    def doing(self, what: str) -> None:
        """Say what goes on."""
        if self._console.is_terminal:
            self._bar.update(self._task, description=what)
        else:
            self._console.print(Text(what), soft_wrap=True)

    def measured(self, share: float) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=share)
