"""What a person sees while a comparison runs: a table that fills on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner
from rich.text import Text

from producer.measurement.run import Leg, Run
from producer.measurement.summary import makespan
from producer.reports.terminal import tables
from producer.reports.words import seconds


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


class Table:
    """The report's own table, redrawn after each leg, with what is going on below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._spinner = Spinner("dots", Text(""))
        # Few frames: drawing takes CPU time from what is measured.
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._lasting: list[Text] = []

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
        passed = time.monotonic() - self._begun
        aim = run.settings["budget"] if run.settings["rounds"] is None else None
        of = f" of about {aim:g} s" if aim is not None and passed < aim else ""
        self._spinner.update(text=Text(f"{what} ({passed:.0f} s{of})"))
        self._draw(run)

    def measured(self, leg: Leg, run: Run) -> None:  # noqa: ARG002
        """Draw the table with the leg in it."""
        self._draw(run)

    def left_out(self, model: str, why: str, run: Run) -> None:  # noqa: ARG002
        """Draw the table with the reason in it."""
        self._draw(run)

    def _draw(self, run: Run) -> None:
        self._live.update(Group(*self._lasting, tables(run, self._console), self._spinner), refresh=True)


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
