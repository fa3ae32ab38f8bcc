"""The bound on waiting calls, for every local executor: one place, one rule.

An executor whose queue has no end turns a producer that is faster than its workers into memory.
`Bounded` makes `submit` wait instead (back-pressure) until one of the calls before it has ended; `Rejecting`
makes it raise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")

#: How many calls may be unfinished. Large enough that a benchmark never feels it; at some 2 kB for a
#: future and its work item, the queue ends at about 200 MB.
MAX_PENDING = 100_000


class Bounded(Executor):
    """Let at most `max_pending` calls be unfinished: a `submit` above that waits for one to end.

    To be named before the executor that it bounds: `class Pool(Bounded, ThreadPoolExecutor)`. A call that
    submits to the executor it runs on can wait for itself once the limit is reached, as with any bound.

    Args:
        max_pending: calls that may be waiting or running at a time.
        *args: for the executor that is bounded.
        **kwargs: for the executor that is bounded.

    Raises:
        ValueError: `max_pending` is below 1.
    """

    def __init__(self, *args: Any, max_pending: int = MAX_PENDING, **kwargs: Any) -> None:
        if max_pending < 1:
            raise ValueError(f"max_pending must be at least 1, not {max_pending}")
        super().__init__(*args, **kwargs)
        self._slots = threading.BoundedSemaphore(max_pending)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call, when there is room for it."""
        self._admit()
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(self._release)
        return future

    def _admit(self) -> None:
        self._slots.acquire()

    def _release(self, _: Future[Any]) -> None:
        self._slots.release()


class RejectedError(RuntimeError):
    """There is no room for the call: so many are unfinished already."""


class Rejecting(Bounded):
    """Like `Bounded`, but a `submit` above the limit raises `RejectedError` at once."""

    def _admit(self) -> None:
        if not self._slots.acquire(blocking=False):
            raise RejectedError("no room for another call")
