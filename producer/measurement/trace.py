"""The trace: one row for each call, the only thing that is measured. All figures are derived from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from worker.call import Call, Outcome, clock


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one call. Times are in seconds since the round began.

    Attributes:
        call: its index among the calls of the round.
        submitted: when it was due to be submitted. In a round all calls are there from the start, so this is
            0: a `submit` that blocks (the sequential model, back-pressure) makes calls wait, and that wait
            has to show in their sojourn time instead of being left out (coordinated omission).
        started: when its function was entered; None if it never was.
        finished: when its function was left; None if it never was entered.
        delivered: when the producer had its outcome.
        worker: the host, process and thread that ran it; empty if none did.
        error: type and message of what it raised, or of what kept it from running; None if it returned.
    """

    call: int
    submitted: float
    started: float | None
    finished: float | None
    delivered: float
    worker: str = ""
    error: str | None = None


Trace = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Stands in for the outcome of a call that has none: its future failed, or ran out of time."""

    error: BaseException


class StalledError(TimeoutError):
    """No call ended for as long as the user was willing to wait."""


def trace(
    executor: Executor,
    entry: Callable[[Call], Any],
    calls: Sequence[Call],
    timeout: float | None = None,
) -> tuple[Trace, list[Outcome | Failure]]:
    """Run all calls on `executor`, and return a row and an outcome for each, in the order of `calls`.

    Args:
        executor: where they run.
        entry: `run`, or `run_async` on an event loop.
        calls: what runs.
        timeout: seconds without any call ending after which the rest is given up; None for no limit. A call
            that has begun in this process cannot be stopped; only its result is no longer waited for.
    """
    count = len(calls)
    delivered: list[float] = [0.0] * count
    ended: list[int] = []  # appending to a list is atomic: a counter that callbacks of any thread may use
    all_ended = threading.Event()

    def note(index: int, _: Future[Any]) -> None:
        delivered[index] = clock()
        ended.append(index)
        if len(ended) == count:
            all_ended.set()

    futures: list[Future[Outcome]] = []
    begun = clock()
    for index, call in enumerate(calls):
        try:
            future = executor.submit(entry, call)
        except Exception as error:  # a pool that broke: the call failed, and with it the rest
            future = Future()
            future.set_exception(error)
        future.add_done_callback(partial(note, index))
        futures.append(future)
    seen = len(ended)
    while count and not all_ended.wait(timeout):
        if len(ended) == seen:
            break
        seen = len(ended)

    given_up = clock()
    outcomes: list[Outcome | Failure] = []
    rows = []
    for index, future in enumerate(futures):
        outcome = _outcome(future, timeout)
        outcomes.append(outcome)
        rows.append(_row(index, outcome, begun, delivered[index] or given_up))
    return tuple(rows), outcomes


def _outcome(future: Future[Outcome], timeout: float | None) -> Outcome | Failure:
    if not future.done():
        future.cancel()
        return Failure(StalledError(f"no call ended for {timeout:g} s, and this one had not"))
    return outcome_of(future)


def outcome_of(future: Future[Outcome]) -> Outcome | Failure:
    """Return the outcome of a call whose future is done.

    `result()` is not asked for an error, since it raises: a broken pool gives one error to all its futures,
    and the traceback of that would grow with each.

    Raises:
        BaseException: what the call raised, if that is no failure of its own; e.g. KeyboardInterrupt.
    """
    if future.cancelled():
        return Failure(CancelledError())
    error = future.exception()
    if error is None:
        return future.result()
    if not isinstance(error, Exception):
        raise error
    return Failure(error)


def _row(index: int, outcome: Outcome | Failure, begun: float, delivered: float) -> Row:
    error = None if outcome.error is None else one_line(outcome.error)
    if isinstance(outcome, Failure):
        return Row(index, 0.0, None, None, delivered - begun, "", error)
    return Row(
        index,
        0.0,
        outcome.started - begun,
        outcome.finished - begun,
        delivered - begun,
        outcome.worker,
        error,
    )


def one_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message."""
    lines = message(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0]}" if lines else name


def message(error: BaseException) -> str:
    """Return an error's message, also where asking for it raises another error."""
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"  # as tracebacks have it


def to_columns(rows: Trace) -> dict[str, list[Any]]:
    """Return a trace as columns, which is what is saved: a tenth of the size of a list of objects.

    Times are rounded to 0.1 µs; workers are named once, and then by their place in that list.
    """
    workers = list(dict.fromkeys(row.worker for row in rows))
    place = {worker: index for index, worker in enumerate(workers)}

    def times(name: str) -> list[float | None]:
        return [None if (t := getattr(row, name)) is None else round(t, 7) for row in rows]

    return {
        "call": [row.call for row in rows],
        "submitted": times("submitted"),
        "started": times("started"),
        "finished": times("finished"),
        "delivered": times("delivered"),
        "workers": workers,
        "worker": [place[row.worker] for row in rows],
        "error": [row.error for row in rows] if any(row.error for row in rows) else [],
    }


def from_columns(columns: dict[str, list[Any]]) -> Trace:
    """Return the trace that `to_columns` made columns of."""
    errors = columns["error"] or [None] * len(columns["call"])
    return tuple(
        Row(call, submitted, started, finished, delivered, columns["workers"][worker], error)
        for call, submitted, started, finished, delivered, worker, error in zip(
            columns["call"],
            columns["submitted"],
            columns["started"],
            columns["finished"],
            columns["delivered"],
            columns["worker"],
            errors,
            strict=True,
        )
    )
