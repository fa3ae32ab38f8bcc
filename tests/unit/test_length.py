"""What calls take, and which of them are of one size."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.experiments.job import CannotRunError, Job
from producer.experiments.length import grouped, lengths
from worker.workloads import noop, noop_async


def job(*values: int) -> Job:
    return Job("noop", noop, None, [((value,), {}) for value in values])


def told(taken: list[float], most: int = 13) -> list[tuple[float, tuple[int, ...]]]:
    return [(size.seconds, size.places) for size in grouped(job(*range(len(taken))), taken, most)]


def test_each_call_has_a_length() -> None:
    found = lengths(job(1, 2, 3))
    assert len(found) == 3
    assert all(length > 0 for length in found)


def test_a_coroutine_has_one_too() -> None:
    assert len(lengths(Job("noop", None, noop_async, [((1,), {}), ((2,), {})]))) == 2


def test_without_time_the_first_call_alone_is_measured() -> None:
    assert len(lengths(job(*range(1000)), 0.0)) == 1


@pytest.mark.parametrize(
    "wrong", [Job("int", int, None, [(("x",), {})]), Job("exit", exit, None, [((), {})])]
)
def test_a_call_that_fails_has_none(wrong: Job) -> None:
    with pytest.raises(CannotRunError, match=r"(int\('x'\) failed: ValueError|\(\) failed: SystemExit)"):
        lengths(wrong)


def test_calls_that_take_about_equally_long_are_one_size() -> None:
    assert told([1e-2, 1e-3, 1.1e-2, 1.01e-3, 0.9e-2]) == [(1.005e-3, (1, 3)), (1e-2, (0, 2, 4))]
    (short, long) = grouped(job(7, 8, 9), [1.0, 2.0, 1.1], 13)
    assert [call.args for call in short.job.calls()] == [(7,), (9,)]
    assert [call.args for call in long.job.calls()] == [(8,)]


def test_what_takes_less_than_can_be_told_apart_is_one_size() -> None:
    assert told([1e-7, 3e-7, 9e-7, 1e-5]) == [(3e-7, (0, 1, 2)), (1e-5, (3,))]


@given(st.lists(st.floats(1e-8, 1e2), min_size=1, max_size=60), st.integers(2, 13))
def test_every_call_is_of_one_size_and_sizes_are_no_more_than_wanted(taken: list[float], most: int) -> None:
    found = told(taken, most)
    assert sorted(place for _, places in found for place in places) == list(range(len(taken)))
    assert len(found) <= most
    assert [size for size, _ in found] == sorted({size for size, _ in found})
    assert all(math.isfinite(size) for size, _ in found)
