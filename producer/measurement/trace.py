"""The trace: one row for each call, the only thing that is measured. All figures are derived from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

from producer.measurement.clocks import Offset, clock_base, corrected, offsets, step
from worker.call import Call, Outcome, clock


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one call. Times are in seconds since the round began.

    Attributes:
        call: its index among the calls of the round.
        submitted: when it was due to be submitted. In a round all calls are there from the start, so this is
            0: a `submit` that blocks (the sequential model, back-pressure) makes calls wait, and that wait
            has to show in their sojourn time instead of being left out (coordinated omission). Under an
            open-loop load it is the time at which the call arrives, whether or not `submit` was free then; in
            a closed loop it is when there was room for it.
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


class Trace(Sequence[Row]):
    """The rows of one round, in the order of its calls.

    A class of its own, and no tuple, so that it can be saved as columns (`columns`).

    Attributes:
        offsets: how far the clocks of other hosts were ahead of this machine's, as far as can be told; where
            they surely were, the times of their rows have been corrected by that.
        step: seconds by which this machine's clock was set during the round, which spoils its times.
    """

    __slots__ = ("_rows", "offsets", "step")

    def __init__(
        self, rows: Iterable[Row] = (), offsets: dict[str, Offset] | None = None, step: float = 0.0
    ) -> None:
        self._rows = tuple(rows)
        self.offsets = offsets or {}
        self.step = step

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return (self._rows, self.offsets, self.step) == (other._rows, other.offsets, other.step)

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return f"Trace({list(self._rows)!r})"


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
    *,
    in_flight: int | None = None,
) -> tuple[Trace, list[Outcome | Failure]]:
    """Run all calls on `executor`, and return a row and an outcome for each, in the order of `calls`.

    All are due at the start; with `in_flight` each is due when one of so many calls before it was delivered
    (a closed loop).

    Args:
        executor: where they run.
        entry: `run`, or `run_async` on an event loop.
        calls: what runs.
        timeout: seconds without any call ending after which the rest is given up; None for no limit. A call
            that has begun in this process cannot be stopped; only its result is no longer waited for.
        in_flight: calls that are under way at a time; None for all.
    """
    count = len(calls)
    delivered: list[float] = [0.0] * count
    ended: list[int] = []  # appending to a list is atomic: a counter that callbacks of any thread may use
    all_ended = threading.Event()
    due = [0.0] * count
    slots = None if in_flight is None else threading.Semaphore(in_flight)

    def note(index: int, _: Future[Any]) -> None:
        delivered[index] = clock()
        ended.append(index)
        if slots is not None:
            slots.release()
        if len(ended) == count:
            all_ended.set()

    futures: list[Future[Outcome]] = []
    base = clock_base()
    begun = clock()
    for index, call in enumerate(calls):
        if slots is not None and in_flight is not None and slots.acquire(timeout=timeout):
            # Due when the room was there: if this thread has to wait for the GIL then, the call waits, too.
            due[index] = delivered[ended[index - in_flight]] - begun if index >= in_flight else 0.0
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
        rows.append(row_of(index, outcome, begun, delivered[index] or given_up, due[index]))
    return on_our_clock(rows, base), outcomes


def on_our_clock(rows: Sequence[Row], base: float) -> Trace:
    """Make a trace of rows whose hosts may have clocks of their own; see `producer.measurement.clocks`.

    Args:
        rows: as the workers timed them.
        base: `clock_base` when the round began.
    """
    found = offsets(rows)
    return Trace(corrected(rows, found), found, step(base, clock_base()))


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


def row_of(
    index: int, outcome: Outcome | Failure, begun: float, delivered: float, submitted: float = 0.0
) -> Row:
    """Return the row of a call that ended.

    Args:
        index: its index among the calls.
        outcome: how it ended.
        begun: when the round began, in seconds of `clock`.
        delivered: when the outcome was there, likewise.
        submitted: when the call was due, in seconds since `begun`.
    """
    error = None if outcome.error is None else one_line(outcome.error)
    if isinstance(outcome, Failure):
        return Row(index, submitted, None, None, delivered - begun, "", error)
    return Row(
        index,
        submitted,
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


def to_columns(rows: Trace) -> dict[str, Any]:
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
        "offsets": {host: [of.value, of.uncertainty] for host, of in rows.offsets.items()},
        "step": rows.step,
    }


def from_columns(columns: dict[str, Any]) -> Trace:
    """Return the trace that `to_columns` made columns of."""
    errors = columns["error"] or [None] * len(columns["call"])
    rows = (
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
    found = {host: Offset(*of) for host, of in columns.get("offsets", {}).items()}
    return Trace(rows, found, columns.get("step", 0.0))
