"""Results are checked against what is expected, or against the first model's; nothing wrong goes unnamed."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.experiments.check import Checker, same
from producer.experiments.job import Job
from producer.measurement.trace import Failure
from worker import workloads
from worker.call import Outcome


def label(value: object) -> str:
    """A name for a test that is the same in every process."""
    return re.sub(" object at 0x[0-9a-f]+", "", repr(value))


class Thing:
    """An object without an `__eq__` of its own."""

    def __init__(self, kind: object) -> None:
        self.kind = kind


class Contrary:
    """An object whose `__eq__` raises, and that can't be pickled."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __reduce__(self) -> Any:
        raise TypeError

    __hash__ = object.__hash__


def job_of(count: int, expected: Sequence[Any] = ()) -> Job:
    return Job("noop", workloads.noop, None, [((i,), {}) for i in range(count)], expected)


SPLIT = Job(
    "sum",
    workloads.sum,
    None,
    [((2, 1), {}), ((4, 3), {}), ((1, 1), {})],
    expected=[10, 1],
    part_of=[0, 0, 1],
    wholes=["sum(4)", "sum(1)"],
)


def values(*of: Any) -> list[Outcome]:
    return [Outcome(value) for value in of]


def said(checker: Checker) -> list[str]:
    return [f"{p.model}: {p.call} {p.what}" for p in checker.problems]


def test_right_results_are_no_problem() -> None:
    checker = Checker(job_of(2, [0, 1]))
    checker.check("sequential", values(0, 1))
    assert checker.problems == ()


def test_a_result_other_than_the_expected_is_named() -> None:
    checker = Checker(job_of(2, [0, 1]))
    checker.check("thread-pool", values(0, 7))
    assert said(checker) == ["thread-pool: noop(1) returned 7, which differs from the expected result: 1"]


def test_without_expected_results_the_first_model_is_the_reference() -> None:
    checker = Checker(job_of(2))
    checker.check("sequential", values(0, 1))
    checker.check("process-pool", values(0, 7))
    assert said(checker) == [
        "process-pool: noop(1) returned 7, which differs from the result of sequential: 1"
    ]


def test_a_model_whose_calls_failed_is_no_reference() -> None:
    checker = Checker(job_of(1))
    checker.check("sequential", [Outcome(error=LookupError("gone"))])
    checker.check("thread-pool", values(5))
    checker.check("process-pool", values(5))
    assert said(checker) == ["sequential: noop(0) raised LookupError: gone"]


def test_a_call_that_did_not_come_back_is_told_from_one_that_raised() -> None:
    checker = Checker(job_of(1, [0]))
    checker.check("process-pool", [Failure(RuntimeError("pool broken"))])
    assert said(checker) == ["process-pool: noop(0) failed: RuntimeError: pool broken"]


def test_a_wrong_result_is_named_once_for_each_model() -> None:
    checker = Checker(job_of(1, [0]))
    for _ in range(3):
        checker.check("thread-pool", values(7))
        checker.check("process-pool", values(7))
    assert [problem.model for problem in checker.problems] == ["thread-pool", "process-pool"]


def test_parts_are_added_up_before_they_are_checked() -> None:
    checker = Checker(SPLIT)
    checker.check("thread-pool", values(3, 7, 1))
    assert checker.problems == ()


def test_a_wrong_sum_of_parts_is_named_by_its_whole() -> None:
    checker = Checker(SPLIT)
    checker.check("thread-pool", values(3, 8, 1))
    assert said(checker) == ["thread-pool: sum(4) returned 11, which differs from the expected result: 10"]


def test_the_whole_of_a_failed_part_is_not_called_wrong_as_well() -> None:
    checker = Checker(SPLIT)
    checker.check("thread-pool", [Outcome(3), Outcome(error=LookupError("gone")), Outcome(1)])
    assert said(checker) == ["thread-pool: sum(4, 3) raised LookupError: gone"]


def test_a_wrong_whole_is_named_beside_a_failed_part_of_the_same_number() -> None:
    checker = Checker(SPLIT)
    checker.check("thread-pool", [Outcome(3), Outcome(error=LookupError("gone")), Outcome(99)])
    assert said(checker) == [
        "thread-pool: sum(4, 3) raised LookupError: gone",
        "thread-pool: sum(1) returned 99, which differs from the expected result: 1",
    ]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, 2.5]},
        math.nan,
        [math.nan, 1.0],
        np.array([1.0, math.nan]),
        Thing(1),
        Thing("kind"),  # equal to the attribute's name: pickled once in the original, twice in its copy
        [Thing("x"), Thing("x")],
    ],
    ids=label,
)
def test_a_value_is_the_same_as_its_copy_from_another_process(value: object) -> None:
    assert same(value, pickle.loads(pickle.dumps(value)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (None, 0),
        ([1], (1,)),
        (math.nan, 1.0),
        (np.array([1.0]), np.array([2.0])),
        (Thing(1), Thing(2)),
        (Contrary(), Contrary()),
    ],
    ids=label,
)
def test_different_values_are_not_the_same(one: object, other: object) -> None:
    assert not same(one, other)


def test_a_value_is_the_same_as_itself_however_odd_it_is() -> None:
    odd = Contrary()
    assert same(odd, odd)


@given(st.recursive(st.integers() | st.text() | st.floats(), st.lists))
def test_any_plain_value_is_the_same_as_its_copy(value: object) -> None:
    assert same(value, pickle.loads(pickle.dumps(value)))
