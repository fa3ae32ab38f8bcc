"""A trace of a closed loop: how many calls are under way, and from when on each waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from producer.measurement.trace import trace
from worker import workloads
from worker.call import Call, run


@pytest.mark.parametrize("in_flight", [1, 3])
def test_no_more_calls_are_under_way_than_wanted(in_flight: int) -> None:
    """By the trace itself: when a call is due, fewer than so many calls before it are still undelivered."""
    with ThreadPoolExecutor(4) as executor:
        rows, outcomes = trace(executor, run, [Call(workloads.sleep, (0.001,))] * 20, in_flight=in_flight)
    assert all(outcome.error is None for outcome in outcomes)
    for row in rows:
        pending = [one for one in rows if one.call < row.call and one.delivered > row.submitted]
        assert len(pending) < in_flight


def test_a_call_is_due_when_another_one_is_delivered() -> None:
    """And not when the producer gets round to it, which would leave its wait for the GIL out."""
    with ThreadPoolExecutor(2) as executor:
        rows, _ = trace(executor, run, [Call(workloads.sleep, (0.001,))] * 20, in_flight=2)
    delivered = {row.delivered for row in rows}
    assert [row.submitted for row in rows[:2]] == [0.0, 0.0]
    assert all(row.submitted in delivered for row in rows[2:])
