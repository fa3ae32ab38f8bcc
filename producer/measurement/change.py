"""What changed from one run to another of the same work: pure functions of both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from producer.measurement.run import Run
from producer.measurement.summary import Interval, complete, makespan, unpaired

#: The server of the `fetch` workload is another one in each run; what counts is the path, the delay.
_SERVED = re.compile(r"'http://[^/']+/([^']*)'")


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a model.

    Attributes:
        model: its name.
        before: seconds that each round took, before; empty where it was not measured.
        after: the same, after.
        ratio: after ÷ before; None where one of them was not measured.
        size: seconds of a call, where runs are compared for each of several sizes.
    """

    model: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    ratio: Interval | None
    size: float | None = None

    @property
    def told(self) -> bool:
        """Whether there is a ratio, and rounds enough to tell it from noise."""
        return self.ratio is not None and self.ratio.known


def change(model: str, before: Sequence[float], after: Sequence[float], size: float | None = None) -> Change:
    """Compare the seconds that a model's rounds took before and after."""
    ratio = unpaired(after, before) if before and after else None
    return Change(model, tuple(before), tuple(after), ratio, size)


def changes(before: Run, after: Run) -> list[Change]:
    """Compare the makespans of every model that has any, in the order of the run after."""
    models = dict.fromkeys((*after.models, *before.models))
    found = [change(model, makespans(before, model), makespans(after, model)) for model in models]
    return [one for one in found if one.before or one.after]


def makespans(run: Run, model: str) -> list[float]:
    """Return what a model's rounds took; nothing where results were wrong, or calls failed."""
    if model in wrong(run):
        return []
    return [makespan(leg.trace) for leg in complete(run, model)]


def wrong(run: Run) -> set[str]:
    """Return the models whose makespans say nothing: results were wrong, or calls failed."""
    return {problem.model for problem in run.problems}


def slower(found: Sequence[Change], share: float) -> list[Change]:
    """Return the changes that are surely slower by more than a share: the whole 99 % interval is.

    Args:
        found: the changes.
        share: the share of the time before; 0.1 is 10 %.
    """
    return [one for one in found if one.ratio is not None and one.ratio.known and _low(one.ratio) > 1 + share]


def _low(of: Interval) -> float:
    return of.low if of.sure is None else of.sure[0]


def same_calls(workload: str, some: Sequence[str], others: Sequence[str]) -> bool:
    """Tell whether two runs of a workload have the same calls, given as source text."""
    if workload != "fetch":
        return tuple(some) == tuple(others)
    return [_SERVED.sub(r"\1", call) for call in some] == [_SERVED.sub(r"\1", call) for call in others]
