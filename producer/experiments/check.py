"""Are the results right? Every model's values against the expected ones, or against the first model's."""

from __future__ import annotations

import contextlib
import pickle
import reprlib
from collections.abc import Sequence
from typing import Any

from producer.experiments.job import Job
from producer.measurement.run import Problem
from producer.measurement.trace import Failure, one_line
from worker.call import Outcome


class Checker:
    """Checks one round after the other, and keeps what is wrong: each call once for each model."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._labels = job.labels()
        self._reference: list[Any] | None = list(job.expected) or None
        self._source = "expected result"
        self._problems: dict[tuple[str, int, str], Problem] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong so far."""
        return tuple(self._problems.values())

    def check(self, model: str, outcomes: Sequence[Outcome | Failure]) -> None:
        """Check the outcomes of a round, which are in the order of the job's calls."""
        failed = {i for i, outcome in enumerate(outcomes) if outcome.error is not None}
        for index in failed:
            error = outcomes[index].error
            assert error is not None  # noqa: S101 - for the type checker
            verb = "failed: " if isinstance(outcomes[index], Failure) else "raised "
            self._note(model, index, self._labels[index], verb + one_line(error))
        values = [None if isinstance(outcome, Failure) else outcome.value for outcome in outcomes]
        labels, unknown = self._labels, failed
        if self._job.part_of:
            values, labels = self._totals(values, failed), list(self._job.wholes)
            unknown = {self._job.part_of[index] for index in failed}
        if self._reference is None:
            if not failed:
                self._reference, self._source = values, f"result of {model}"
            return
        for index, (value, right) in enumerate(zip(values, self._reference, strict=True)):
            if index not in unknown and not same(value, right):
                what = f"returned {reprlib.repr(value)}, which differs from the {self._source}: "
                self._note(model, index, labels[index], what + reprlib.repr(right))

    def _note(self, model: str, index: int, call: str, what: str) -> None:
        # With the call, because a part and a whole can have the same index.
        self._problems.setdefault((model, index, call), Problem(model, call, what))

    def _totals(self, values: Sequence[Any], failed: set[int]) -> list[Any]:
        totals = [0] * len(self._job.wholes)
        for index, value in enumerate(values):
            if index not in failed:
                totals[self._job.part_of[index]] += value
        return totals


def same(one: object, other: object) -> bool:
    """Tell whether two values are equal, also where `==` says nothing of use.

    Values that crossed a process are copies: NaN, arrays, and objects without an `__eq__` of their own are
    the same where their pickles are; both are copied once, since a copy shares strings between its parts
    otherwise than what was copied.
    """
    with contextlib.suppress(Exception):  # an array has no truth; a user's `__eq__` may raise anything
        if one is other or bool(one == other):
            return True
    with contextlib.suppress(Exception):  # not picklable: nothing left to compare by
        return _copied(one) == _copied(other)
    return False


def _copied(value: object) -> bytes:
    return pickle.dumps(pickle.loads(pickle.dumps(value)))
