"""What happened in each stretch of an open-loop load, counted from rows and samples that are made up."""

from __future__ import annotations

import pytest

from producer.measurement.load import Load
from producer.measurement.resources import Sample
from producer.measurement.trace import Row, Trace
from producer.measurement.windows import windows


def load_of(
    *rows: Row, ended: float = 1.0, refused: tuple[int, ...] = (), left: tuple[int, ...] = ()
) -> Load:
    """A load whose calls were taken when they were due."""
    times = tuple(row.submitted for row in rows)
    return Load(Trace(rows), times, times, refused, left, ended)


def row(index: int, due: float, delivered: float, error: str | None = None) -> Row:
    return Row(index, due, due, delivered, delivered, "worker", error)


def test_a_call_counts_where_it_arrives_and_where_it_is_served() -> None:
    first, second = windows(load_of(row(0, 0.1, 0.2), row(1, 0.3, 0.9)), (), 0.5)
    assert (first.arrived, first.served, first.backlog) == (2, 1, 1)
    assert (second.arrived, second.served, second.backlog) == (0, 1, 0)
    assert (first.start, first.end, second.start, second.end) == (0.0, 0.5, 0.5, 1.0)


def test_sojourn_times_are_of_the_calls_that_arrive_in_a_window() -> None:
    first, second = windows(load_of(row(0, 0.1, 0.2), row(1, 0.3, 0.9)), (), 0.5)
    assert first.p50 == pytest.approx(0.1, rel=2e-3)
    assert first.p99 == pytest.approx(0.6, rel=2e-3)
    assert (second.p50, second.p99) == (None, None)


def test_a_refused_call_is_not_served_and_has_no_sojourn_time() -> None:
    (window,) = windows(load_of(row(0, 0.1, 0.1, "RejectedError: full"), refused=(0,)), (), 1.0)
    assert (window.arrived, window.served, window.refused, window.backlog) == (1, 0, 1, 0)
    assert window.p50 is None


def test_a_call_that_never_ended_stays_in_the_backlog_and_counts_with_what_it_waited() -> None:
    (window,) = windows(load_of(row(0, 0.25, 1.0, "StalledError"), left=(0,)), (), 1.0)
    assert (window.served, window.backlog) == (0, 1)
    assert window.p99 == pytest.approx(0.75, rel=2e-3)


def test_a_call_is_outside_until_submit_has_taken_it() -> None:
    rows = (row(0, 0.1, 0.9), row(1, 0.2, 0.95))
    load = Load(Trace(rows), (0.1, 0.2), (0.1, 0.7), (), (), 1.0)
    assert [window.outside for window in windows(load, (), 0.5)] == [1, 0]
    never = Load(Trace(rows), (0.1, None), (0.1, None), (), (1,), 1.0)
    assert [window.outside for window in windows(never, (), 0.5)] == [1, 1]


def test_resources_are_those_of_the_samples_in_a_window() -> None:
    samples = (
        Sample(0.0, 0.0, 100, 3, 1, 0),
        Sample(0.25, 0.25, 300, 9, 1, 50),
        Sample(0.5, 0.5, 200, 5, 1, 100),
        Sample(1.0, 0.5, 200, 4, 1, 100),
    )
    first, second = windows(load_of(row(0, 0.1, 0.2)), samples, 0.5)
    assert (first.threads, first.memory, first.cpu, first.switches) == (9, 300, 1.0, 200.0)
    assert (second.threads, second.memory, second.cpu, second.switches) == (5, 200, 0.0, 0.0)


def test_a_window_without_a_sample_has_what_the_last_one_before_saw() -> None:
    samples = (Sample(0.1, 0.0, 100, 3, 1, 0),)
    assert [w.threads for w in windows(load_of(row(0, 0.1, 0.2)), samples, 0.25)] == [3, 3, 3, 3]
    assert [w.threads for w in windows(load_of(row(0, 0.1, 0.2)), (), 0.5)] == [None, None]


def test_the_last_window_ends_with_the_load() -> None:
    found = windows(load_of(row(0, 0.1, 1.3), ended=1.3), (), 0.5)
    assert [window.end for window in found] == [0.5, 1.0, 1.3]
    assert sum(window.arrived for window in found) == sum(window.served for window in found) == 1


def test_a_short_rest_is_a_part_of_the_last_window() -> None:
    """Two calls in its last 4 ms would be 500 a second."""
    found = windows(load_of(row(0, 0.1, 1.002), row(1, 0.2, 1.003), ended=1.004), (), 0.5)
    assert [window.end for window in found] == [0.5, 1.004]
    assert found[-1].served == 2


def test_a_load_without_calls_has_a_window_without_calls() -> None:
    (window,) = windows(load_of(ended=0.1), (), 0.5)
    assert (window.arrived, window.backlog) == (0, 0)
