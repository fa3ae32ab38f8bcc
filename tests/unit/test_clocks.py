"""The clocks of other hosts: whatever the delays, the true offset is where the estimate says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_for_tests import one_after_another

from producer.measurement.clocks import Offset, clock_base, corrected, offsets, step
from producer.measurement.trace import Row, Trace, trace
from producer.models.sequential import SequentialExecutor
from worker import workloads
from worker.call import HOST, Call, run

DELAYS = st.floats(min_value=0.0, max_value=1.0)
#: Of each call: when it was submitted, how long it was on its way there, how long it ran, and its way back.
CALLS = st.lists(st.tuples(DELAYS, DELAYS, DELAYS, DELAYS), min_size=1, max_size=10)
#: Rounding of floating-point times, in seconds.
SLACK = 1e-9


def seen(ahead: float, calls: list[tuple[float, ...]], host: str = "far") -> list[Row]:
    """The rows of calls on a host whose clock is ahead by so much."""
    rows = []
    for index, (submitted, there, service, back) in enumerate(calls):
        started = submitted + there
        finished = started + service
        worker = f"{host}/1/MainThread"
        rows.append(Row(index, submitted, started + ahead, finished + ahead, finished + back, worker))
    return rows


@given(st.floats(min_value=-1e4, max_value=1e4), CALLS)
def test_the_true_offset_is_within_the_stated_uncertainty(
    ahead: float, calls: list[tuple[float, ...]]
) -> None:
    """However unequal the ways there and back are, and however much each differs from call to call."""
    found = offsets(seen(ahead, calls))["far"]
    assert abs(found.value - ahead) <= found.uncertainty + SLACK


@given(st.floats(min_value=-1e4, max_value=1e4), CALLS)
def test_corrected_rows_are_off_by_no_more_than_the_uncertainty(
    ahead: float, calls: list[tuple[float, ...]]
) -> None:
    rows = seen(ahead, calls)
    found = offsets(rows)
    for row, true in zip(corrected(rows, found), seen(0.0, calls), strict=True):
        assert row.started is not None
        assert true.started is not None
        # Where the clocks may agree nothing is corrected, and the offset is as far from 0 as it can be.
        assert abs(row.started - true.started) <= 2 * found["far"].uncertainty + SLACK
        assert row.submitted - SLACK <= row.started
        assert row.finished is not None
        assert row.finished <= row.delivered + SLACK


def test_the_shortest_way_there_and_the_shortest_way_back_bound_it() -> None:
    """They need not be the same call's: 1 ms there and 2 ms back leave 3 ms, in the middle of which it is."""
    found = offsets(seen(0.5, [(0.0, 0.001, 1.0, 0.9), (0.0, 0.7, 1.0, 0.002)]))
    assert (found["far"].value, found["far"].uncertainty) == pytest.approx((0.5 - 0.0005, 0.0015))


def test_each_host_has_an_offset_of_its_own() -> None:
    found = offsets([*seen(3.0, [(0.0,) * 4], "ahead"), *seen(-3.0, [(0.0,) * 4], "behind")])
    assert {host: offset.value for host, offset in found.items()} == {"ahead": 3.0, "behind": -3.0}


def test_this_machine_is_the_measure_and_calls_that_never_ran_tell_nothing() -> None:
    assert offsets([*seen(5.0, [(0.0,) * 4], HOST), Row(0, 0.0, None, None, 1.0)]) == {}


def test_clocks_that_agree_as_far_as_can_be_told_are_left_as_they_are() -> None:
    """Containers of one machine have names of their own and the same clock."""
    rows = seen(0.001, [(0.0, 0.002, 1.0, 0.004)])
    found = offsets(rows)
    assert not found["far"].told
    assert corrected(rows, found) == rows


def test_a_clock_that_was_set_meanwhile_is_as_uncertain_as_its_bounds_contradict_each_other() -> None:
    rows = [*seen(0.0, [(0.0, 0.0, 1.0, 0.0)]), *seen(2.0, [(0.0, 0.0, 1.0, 0.0)])]
    assert offsets(rows)["far"] == Offset(1.0, 1.0)


def test_a_real_trace_with_a_skewed_clock_is_put_right() -> None:
    """The rows of a real round, as if a host had run them whose clock is 2 minutes behind."""
    rows, _ = trace(SequentialExecutor(), run, [Call(workloads.spin, (1_000,))] * 20)
    skewed = [
        replace(row, worker="far/1/MainThread", started=row.started - 120, finished=row.finished - 120)
        for row in rows
        if row.started is not None and row.finished is not None
    ]
    found = offsets(skewed)
    assert abs(found["far"].value + 120) <= found["far"].uncertainty + SLACK
    for row, true in zip(corrected(skewed, found), rows, strict=True):
        assert row.started is not None
        assert true.started is not None
        assert abs(row.started - true.started) <= found["far"].uncertainty + SLACK


def test_a_trace_on_this_machine_alone_needs_no_offsets() -> None:
    rows, _ = trace(SequentialExecutor(), run, [Call(workloads.noop, (1,))])
    assert (rows.offsets, rows.step) == ({}, 0.0)


@pytest.mark.parametrize(("after", "by"), [(3.0, 0.0), (3.0005, 0.0), (4.5, 1.5), (2.0, -1.0)])
def test_a_step_is_more_than_the_readings_uncertainty(after: float, by: float) -> None:
    assert step(3.0, after) == by


def test_a_clock_that_is_not_set_has_no_step() -> None:
    assert step(clock_base(), clock_base()) == 0.0


def test_traces_with_other_offsets_are_not_equal() -> None:
    rows = one_after_another(1.0)
    assert Trace(rows, {"far": Offset(1.0, 0.1)}) != rows
    assert Trace(rows, step=1.0) != rows
