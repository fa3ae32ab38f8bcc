"""Open-loop load: a row for each call that was due, counted from when it was due, whatever stalls."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from producer.measurement.arrivals import Rate, evenly
from producer.measurement.latencies import percentiles
from producer.measurement.load import Load, Progress, load
from producer.measurement.summary import sojourn_times
from producer.models.bounded import Bounded
from producer.models.sequential import SequentialExecutor
from worker.call import Call, run

BOUND = 20.0


class SmallPool(Bounded, ThreadPoolExecutor):
    """A thread that works, and one call that may wait for it."""

    def __init__(self) -> None:
        super().__init__(1, max_pending=2)


class Stall:
    """Every call returns at once, but for one that takes `seconds`."""

    def __init__(self, at: int, seconds: float) -> None:
        self._lock, self._left, self._seconds = threading.Lock(), at, seconds

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            stall = self._left == 0
        if stall:
            time.sleep(self._seconds)


def drive(executor: Executor, function: Callable[[], Any], times: Any, patience: float = BOUND) -> Load:
    return load(executor, run, [Call(function)], times, patience=patience)


@pytest.mark.parametrize(
    "pool", [lambda: ThreadPoolExecutor(1), SmallPool, SequentialExecutor], ids=["queue", "bound", "blocks"]
)
def test_a_stall_of_a_second_shows_in_the_percentiles_as_arithmetic_says(
    pool: Callable[[], Executor],
) -> None:
    """Whether calls queue, or `submit` blocks while the model stalls: coordinated omission hides nothing.

    Calls come every 10 ms for 2 s. One of the 200 takes a second, so the 100 that are due meanwhile wait for
    1 s, 0.99 s, 0.98 s, ... So of all calls k / 200 wait for more than (1 - k / 100) s. A slow machine makes
    them wait longer, never shorter.
    """
    with pool() as executor:
        found = drive(executor, Stall(at=50, seconds=1.0), evenly(Rate(100, 100, 2)))
    assert len(found.trace) == 200
    assert all(row.error is None for row in found.trace)
    waits = sojourn_times(found.trace)
    for percent in (99, 95, 90, 75, 60):
        longer = (100 - percent) / 100 * 200
        assert percentiles(waits, percent)[0] >= 1 - (longer + 1) / 100


def test_calls_are_due_at_their_times_and_never_sent_before() -> None:
    times = evenly(Rate(50, 200, 0.5))
    with ThreadPoolExecutor(2) as executor:
        found = drive(executor, Stall(0, 0), times)
    assert [row.submitted for row in found.trace] == list(times)
    for row, sent, taken in zip(found.trace, found.sent, found.taken, strict=True):
        assert sent is not None
        assert taken is not None
        assert row.submitted - 1e-6 <= sent <= taken
        assert row.started is not None
        assert row.submitted - 1e-3 <= row.started


def test_waiting_for_submit_is_not_the_senders_lateness() -> None:
    """The second call is sent half a second late since `submit` did not return: not the sender's fault."""
    found = drive(SequentialExecutor(), Stall(at=1, seconds=0.5), [0.0, 0.1])
    second = found.sent[1]
    assert second is not None
    assert second >= 0.5 - 0.01
    assert found.lateness()[1] <= second - 0.5 + 0.01


def test_a_call_that_submit_refuses_is_told_from_one_that_fails() -> None:
    class Refuses(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ARG002
            raise LookupError("no room")

    def fail() -> None:
        raise ValueError("bad")

    with Refuses(1) as executor:
        refused = drive(executor, fail, [0.0, 0.0])
    with ThreadPoolExecutor(1) as pool:
        failed = drive(pool, fail, [0.0, 0.0])
    assert refused.refused == (0, 1)
    assert refused.trace[0].error == "LookupError: no room"
    assert failed.refused == ()
    assert failed.trace[0].error == "ValueError: bad"
    assert refused.left == failed.left == ()


def test_calls_that_do_not_end_in_time_are_rows_too() -> None:
    """The one that runs, the one that waits, and those that a blocked `submit` never took."""
    gate = threading.Event()
    executor = SmallPool()
    try:
        found = drive(executor, gate.wait, [0.0, 0.01, 0.02, 0.03], patience=1.0)
        assert found.left == (0, 1, 2, 3)
        assert [taken is None for taken in found.taken] == [False, False, True, True]
        assert [sent is None for sent in found.sent] == [False, False, False, True]
        assert all(row.delivered == pytest.approx(found.ended) for row in found.trace)
    finally:
        gate.set()
        executor.shutdown()


def test_who_watches_can_stop_it_and_no_call_is_due_after_that() -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return progress.ended < 3

    with ThreadPoolExecutor(1) as executor:
        found = load(
            *(executor, run, [Call(Stall(0, 0))], evenly(Rate(100, 100, BOUND))), patience=BOUND, watch=watch
        )
    assert found.stopped
    assert 3 <= len(found.trace) < 100 * BOUND
    assert found.left == ()
    assert max(progress.due for progress in seen) >= 3


def test_what_is_told_after_a_stop_is_what_the_load_says_in_the_end() -> None:
    """The calls that would have been due since then have not arrived, however long the others take."""
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return progress.due < 10

    with ThreadPoolExecutor(1) as executor:
        found = load(
            *(executor, run, [Call(lambda: time.sleep(0.1))], evenly(Rate(100, 100, BOUND))),
            patience=BOUND,
            watch=watch,
        )
    after = seen[next(n for n, progress in enumerate(seen) if progress.due >= 10) + 1 :]
    assert found.stopped
    assert {progress.due for progress in after[1:]} == {len(found.trace)}
    assert after[-1].ended <= len(found.trace)


def test_an_interrupt_gives_what_there_is_so_far() -> None:
    def interrupt(progress: Progress) -> bool:
        if progress.ended >= 3:
            os.kill(os.getpid(), signal.SIGINT)
        return True

    with ThreadPoolExecutor(1) as executor:
        found = load(
            *(executor, run, [Call(Stall(0, 0))], evenly(Rate(100, 100, BOUND))),
            patience=BOUND,
            watch=interrupt,
        )
    assert found.interrupted
    assert 3 <= len(found.trace) < 100 * BOUND


def test_no_calls_make_an_empty_load() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert len(drive(executor, Stall(0, 0), []).trace) == 0
