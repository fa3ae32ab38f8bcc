"""The drill as a table, in sentences, and while it goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from producer.experiments.faults import OURS, Drill, Drills, Plan
from producer.reports.report import Report
from producer.reports.words import NONE, listed, seconds

_LEGEND = (
    "results: those that came. lost: those that did not within the bound. twice: calls that ran to their end "
    "more than once. cut: calls that ran on a worker when it was killed. mean, p99: from the kill to the "
    "delivery of such a call's result, its own time included. in all: from the first submission to the last "
    "delivery."
)
_METHOD = (
    "A real broker and real workers on this machine. A kill takes a whole worker, parent and children, "
    "with SIGKILL, and a new one takes its place; at the same times with each kind of settings. Each call "
    "notes in a file when it begins and when it is over, so that what ran twice, and what was cut short, "
    "is known without asking either side."
)


class Lines:
    """A line for each drill that begins, and for each kill."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""

    def begins(self, name: str, plan: Plan) -> None:
        """Say which drill begins."""
        self._kills = 0
        self._say(f"{name}: {plan.calls} calls of {seconds(plan.seconds)}, {_kills(plan.kills)}")

    def goes_on(self, delivered: int, kills: int) -> None:
        """Say that a worker was killed."""
        if kills > self._kills:
            self._kills = kills
            self._say(f"  killed worker {kills}; {delivered} delivered")

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


class Spinner:
    """One line that changes."""

    def __init__(self, console: Console) -> None:
        self._status = Status("", console=console)
        self._name, self._calls, self._begun = "", 0, 0.0

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line off the screen."""
        self._status.stop()

    def begins(self, name: str, plan: Plan) -> None:
        """Show which drill begins."""
        self._name, self._calls, self._begun = name, plan.calls, time.monotonic()
        self._status.update(Text(f"{name}: starting workers"))

    def goes_on(self, delivered: int, kills: int) -> None:
        """Show how far it is."""
        passed = time.monotonic() - self._begun
        self._status.update(
            Text(f"{self._name}: {delivered} of {self._calls} delivered, {kills} killed ({passed:.0f} s)")
        )


def table(drills: Sequence[Drill]) -> Table:
    """Return the figures."""
    made = Table(box=box.SIMPLE_HEAD)
    made.add_column("settings", no_wrap=True)
    for header in ("results", "lost", "twice", "cut", "mean", "p99", "in all"):
        made.add_column(header, justify="right")
    for drill in drills:
        made.add_row(
            drill.name,
            f"{drill.delivered}/{drill.calls}",
            str(drill.lost),
            str(drill.twice),
            str(drill.cut),
            NONE if drill.mean is None else seconds(drill.mean),
            NONE if drill.p99 is None else seconds(drill.p99),
            seconds(drill.seconds),
            style="" if not drill.lost else "red",
        )
    return made


def findings(plan: Plan, drills: Sequence[Drill]) -> list[str]:
    """Return what the drills say, each in a sentence that is computed from them."""
    sentences = []
    for drill in drills:
        if drill.lost:
            sentences.append(
                f"{drill.name}: {drill.lost} of {drill.calls} results did not come. It was given up "
                f"{seconds(plan.bound)} after the last one."
            )
        elif not drill.cut:
            sentences.append(f"{drill.name}: no call was cut short, so this run says nothing of recovery.")
        else:
            twice = "none of which ran" if not drill.twice else f"{drill.twice} of which ran"
            sentences.append(
                f"{drill.name}: all {drill.calls} results came, {twice} to its end twice; the {drill.cut} "
                f"calls that {_kills(drill.kills)} cut short were delivered {seconds(drill.mean or 0)} after "
                f"the kill on average, {seconds(max(drill.recoveries))} at most."
            )
    late = [drill.name for drill in drills if drill.lost and drill.name != OURS]
    if late:
        sentences.append(
            f"Not all that is missing from {listed(late)} is gone: Celery gives what a dead worker had "
            "fetched to another after the visibility timeout, an hour by default; but what it had begun only "
            "with acks_late."
        )
    return sentences


def _kills(number: int) -> str:
    return "1 kill" if number == 1 else f"{number} kills"


def report(result: Drills) -> Report:
    """Return what there is to say of the drills."""
    plan = result.plan
    return Report(
        result=result,
        title=(
            f"{plan.calls} calls of {seconds(plan.seconds)} on {plan.workers} workers of {plan.processes} "
            f"processes; {plan.kills} times a whole worker is killed and replaced; lease "
            f"{seconds(plan.lease)}, bound {seconds(plan.bound)}"
        ),
        tables=lambda _: [table(result.drills)],
        legend=_LEGEND,
        findings=findings(plan, result.drills),
        method=_METHOD,
    )
