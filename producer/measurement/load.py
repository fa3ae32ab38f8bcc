"""Open-loop load: calls are sent when they are due, whatever became of those before them.

    times (arrivals.py) ─▶ sender's thread ─ submit ─▶ executor ─▶ futures ─▶ a row for each call

Each row counts from the time at which its call was due, not from when `submit` was free to take it. So a
stall of the model delays every call that was due meanwhile, and shows as their waiting; a sender that waits
with the model would have left those calls out (Tene's "coordinated omission").
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from producer.measurement.clocks import clock_base
from producer.measurement.trace import Failure, StalledError, Trace, on_our_clock, outcome_of, row_of
from worker.call import Call, Outcome, clock

#: Seconds between two looks at how it goes.
TICK = 0.05


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load is.

    Attributes:
        time: seconds since it began.
        due: calls that have been due so far.
        refused: calls that `submit` refused so far.
        ended: calls that ended so far, refused ones included.
    """

    time: float
    due: int
    refused: int
    ended: int


@dataclass(frozen=True, slots=True)
class Load:
    """What became of a load. Times are in seconds since it began.

    Attributes:
        trace: a row for each call that was due, `submitted` being when it was.
        sent: for each row when `submit` was called; None if it never was.
        taken: for each row when `submit` returned, or raised; None if it never did.
        refused: the calls whose `submit` raised; their rows say what.
        left: the calls that had not ended when the load did.
        ended: when it was over.
        stopped: whether the caller stopped it before all calls were due.
        interrupted: whether Ctrl-C did.
    """

    trace: Trace
    sent: tuple[float | None, ...]
    taken: tuple[float | None, ...]
    refused: tuple[int, ...]
    left: tuple[int, ...]
    ended: float
    stopped: bool = False
    interrupted: bool = False

    def lateness(self) -> list[float]:
        """Return for each call that was sent how late the sender was by its own fault.

        That is, after the call was due and `submit` had returned from the one before: the timer, the GIL, the
        machine. It counts as the call's waiting like all else; much of it says that the sender is the limit.
        """
        found, free = [], 0.0
        for row, sent, taken in zip(self.trace, self.sent, self.taken, strict=True):
            if sent is not None:
                found.append(max(0.0, sent - max(row.submitted, free)))
            if taken is not None:
                free = taken
        return found


def load(
    executor: Executor,
    entry: Callable[[Call], Any],
    calls: Sequence[Call],
    times: Sequence[float],
    *,
    patience: float,
    watch: Callable[[Progress], bool] = lambda _: True,
) -> Load:
    """Send calls when they are due, and wait for them.

    Calls that have not ended in time are left to whoever opened the executor, to `abandon` or to wait for.

    Args:
        executor: where they run.
        entry: `run`, or `run_async` on an event loop.
        calls: what runs; from the beginning again when they are used up.
        times: when each call is due, in seconds from now, ascending.
        patience: seconds after the last call was due for which calls are waited for.
        watch: told every now and then how far it is, on this thread; where it returns False, no further call
            becomes due.
    """
    sender = _Sender(executor, entry, calls, times)
    thread = threading.Thread(target=sender.send, name="load", daemon=True)
    last = times[-1] if times else 0.0
    stopped = interrupted = False
    thread.start()
    try:
        while (now := sender.now()) < last + patience and not (sender.done and sender.all_ended()):
            sender.tick.wait(TICK)
            if not watch(sender.progress(last)) and not stopped:
                sender.stop.set()
                stopped, last = now < last, min(now, last)
    except KeyboardInterrupt:
        interrupted = True
        last = min(sender.now(), last)
    finally:
        sender.stop.set()
    return sender.result(last, stopped=stopped, interrupted=interrupted)


class _Sender:
    """What the sender's thread, the callbacks and the caller share: lists, whose `append` is atomic."""

    def __init__(
        self, executor: Executor, entry: Callable[[Call], Any], calls: Sequence[Call], times: Sequence[float]
    ) -> None:
        self._executor, self._entry, self._calls, self._times = executor, entry, calls, times
        self._sent: list[float] = []
        self._taken: list[float] = []
        self._futures: list[Future[Outcome]] = []
        self._refused: list[int] = []
        self._delivered = [0.0] * len(times)
        self._ended: list[int] = []
        self.done = False
        self.stop = threading.Event()
        self.tick = threading.Event()  # set when nothing is left to wait for
        self._base = clock_base()
        self.begun = clock()

    def now(self) -> float:
        return clock() - self.begun

    def send(self) -> None:
        for index, due in enumerate(self._times):
            wait = due - self.now()
            if self.stop.wait(wait) if wait > 0 else self.stop.is_set():
                break
            self._sent.append(self.now())
            try:
                future = self._executor.submit(self._entry, self._calls[index % len(self._calls)])
            except Exception as error:
                future = Future()
                future.set_exception(error)
                self._refused.append(index)
            self._taken.append(self.now())
            self._futures.append(future)
            future.add_done_callback(partial(self._note, index))
        self.done = True
        self._look()

    def _note(self, index: int, _: Future[Any]) -> None:
        self._delivered[index] = clock()
        self._ended.append(index)
        self._look()

    def _look(self) -> None:
        if self.done and self.all_ended():
            self.tick.set()

    def all_ended(self) -> bool:
        return len(self._ended) >= len(self._futures)

    def progress(self, last: float) -> Progress:
        """Return how far it is; of what was to come after `last`, only what was taken has been due."""
        now, ended = self.now(), len(self._ended)
        due = max(len(self._futures), bisect_right(self._times, min(now, last)))
        return Progress(now, due, len(self._refused), ended)

    def result(self, last: float, *, stopped: bool, interrupted: bool) -> Load:
        """Return what there is now, for all calls that were due until `last`."""
        given_up = clock()
        futures, taken, sent = list(self._futures), list(self._taken), list(self._sent)
        count = max(len(futures), bisect_right(self._times, last))
        rows, left = [], []
        for index, due in enumerate(self._times[:count]):
            outcome: Outcome | Failure
            if index >= len(futures):
                outcome = Failure(StalledError("it had not been taken when the load ended"))
            elif not futures[index].done():
                outcome = Failure(StalledError("it had not ended when the load did"))
            else:
                outcome = outcome_of(futures[index])
            if isinstance(outcome.error, StalledError):
                left.append(index)
            rows.append(row_of(index, outcome, self.begun, self._delivered[index] or given_up, due))
        return Load(
            trace=on_our_clock(rows, self._base),
            sent=_padded(sent, count),
            taken=_padded(taken, count),
            refused=tuple(index for index in self._refused if index < count),
            left=tuple(left),
            ended=given_up - self.begun,
            stopped=stopped,
            interrupted=interrupted,
        )


def _padded(times: list[float], count: int) -> tuple[float | None, ...]:
    return (*map(_rounded, times[:count]), *[None] * (count - len(times)))


def _rounded(time: float) -> float:
    return round(time, 7)
