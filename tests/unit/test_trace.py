"""The trace: a row for each call, whatever becomes of it, and columns that hold the same rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measurement.trace import (
    Failure,
    Row,
    StalledError,
    Trace,
    from_columns,
    message,
    one_line,
    outcome_of,
    to_columns,
    trace,
)
from producer.models.sequential import SequentialExecutor
from worker.call import Call, Outcome, run


def double(value: int) -> int:
    return 2 * value


def fail(text: str) -> None:
    raise LookupError(text)


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Calls may wait for it; at the end of a test it is open."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_rows_and_outcomes_are_in_the_order_of_the_calls(pool: Executor) -> None:
    rows, outcomes = trace(pool, run, [Call(double, (i,)) for i in range(100)])
    assert [row.call for row in rows] == list(range(100))
    assert [outcome.value for outcome in outcomes if isinstance(outcome, Outcome)] == [
        2 * i for i in range(100)
    ]


def test_the_times_of_a_row_are_in_their_order(pool: Executor) -> None:
    rows, _ = trace(pool, run, [Call(double, (i,)) for i in range(20)])
    for row in rows:
        assert row.started is not None
        assert row.finished is not None
        assert 0 <= row.submitted <= row.started <= row.finished <= row.delivered


def test_all_calls_are_due_at_once_so_that_a_blocking_submit_makes_them_wait() -> None:
    """Coordinated omission: what waits for its submission waits all the same."""
    rows, _ = trace(SequentialExecutor(), run, [Call(double, (i,)) for i in range(3)])
    assert [row.submitted for row in rows] == [0.0, 0.0, 0.0]


def test_a_row_names_the_worker(pool: Executor) -> None:
    (row,), _ = trace(pool, run, [Call(double, (1,))])
    assert "ThreadPoolExecutor" in row.worker


def test_what_a_call_raised_is_in_its_row_and_in_no_other(pool: Executor) -> None:
    rows, _ = trace(pool, run, [Call(double, (1,)), Call(fail, ("gone",)), Call(double, (2,))])
    assert [row.error for row in rows] == [None, "LookupError: gone", None]


def test_no_calls_make_an_empty_trace(pool: Executor) -> None:
    assert trace(pool, run, []) == (Trace(), [])


def test_calls_on_an_executor_that_refuses_them_have_failed() -> None:
    executor = SequentialExecutor()
    executor.shutdown()
    rows, outcomes = trace(executor, run, [Call(double, (1,))])
    assert isinstance(outcomes[0], Failure)
    assert (rows[0].started, rows[0].worker) == (None, "")


def test_a_cancelled_call_has_failed() -> None:
    class Cancelling(Executor):
        def submit(self, _fn: Any, /, *_args: Any, **_kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            return future

    rows, _ = trace(Cancelling(), run, [Call(double, (1,))])
    assert rows[0].error == "CancelledError"


def test_calls_that_never_end_are_given_up_and_those_before_them_kept(
    pool: Executor, gate: threading.Event
) -> None:
    calls = [Call(double, (1,)), *[Call(gate.wait)] * 3]
    rows, outcomes = trace(pool, run, calls, timeout=0.5)
    assert [isinstance(outcome.error, StalledError) for outcome in outcomes] == [False, True, True, True]
    assert rows[0].error is None
    assert all(row.delivered > 0 for row in rows)


def test_a_stalled_model_is_given_up_after_one_timeout(
    pool: Executor, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen by what is waited for: no second wait makes sure that still nothing ended."""
    timeouts = []
    wait = threading.Event.wait

    def counted(event: threading.Event, timeout: float | None = None) -> bool:
        timeouts.append(timeout)
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", counted)
    trace(pool, run, [Call(wait, (gate,))], timeout=0.1)
    monkeypatch.undo()
    assert timeouts.count(0.1) == 1


def test_calls_may_take_longer_than_the_timeout_while_others_end() -> None:
    """The timeout is for silence, not for the whole of the work."""
    with ThreadPoolExecutor(1) as pool:
        rows, _ = trace(pool, run, [Call(threading.Event().wait, (0.05,))] * 10, timeout=0.4)
    assert [row.error for row in rows] == [None] * 10


def test_an_error_that_many_futures_share_does_not_grow_with_each() -> None:
    """A pool that breaks gives one error to all its futures; raised again, it gets a longer traceback."""
    error = RuntimeError("pool broken")
    futures: list[Future[Outcome]] = [Future() for _ in range(5)]
    for future in futures:
        future.set_exception(error)
    assert [outcome_of(future) for future in futures] == [Failure(error)] * 5
    assert error.__traceback__ is None


def test_an_interrupt_is_no_failure_of_its_call() -> None:
    future: Future[Outcome] = Future()
    future.set_exception(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        outcome_of(future)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError(), "ValueError"),
        (ValueError("  \n "), "ValueError"),
        (KeyError("name"), "KeyError: 'name'"),
        (SpeechlessError(), "SpeechlessError: <exception str() failed>"),
    ],
)
def test_an_error_is_told_in_one_line(error: Exception, text: str) -> None:
    assert one_line(error) == text


@given(st.text())
def test_a_message_is_what_the_error_says(text: str) -> None:
    assert message(ValueError(text)) == text


TIMES = st.integers(0, 10**12).map(lambda ticks: round(ticks * 1e-7, 7))
ROWS = st.builds(
    Row,
    call=st.integers(0, 10**6),
    submitted=TIMES,
    started=st.none() | TIMES,
    finished=st.none() | TIMES,
    delivered=TIMES,
    worker=st.sampled_from(["", "host/1/MainThread", "host/2/MainThread"]) | st.text(),
    error=st.none() | st.text(min_size=1),
)


@given(st.lists(ROWS).map(Trace))
def test_columns_hold_the_whole_trace_also_as_json(rows: Trace) -> None:
    assert from_columns(json.loads(json.dumps(to_columns(rows)))) == rows


@given(st.lists(ROWS, min_size=1).map(Trace))
def test_columns_name_each_worker_once(rows: Trace) -> None:
    workers = to_columns(rows)["workers"]
    assert sorted(workers) == sorted({row.worker for row in rows})


def test_times_are_saved_to_a_tenth_of_a_microsecond() -> None:
    columns = to_columns(Trace([Row(0, 0.0, 0.12345678, 1.0, 2.0)]))
    assert columns["started"] == [0.1234568]
