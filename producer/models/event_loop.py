"""All calls on one thread, taking turns wherever one awaits: asyncio.

`submit` hands a call to the loop's thread and returns; the loop runs every call at once, as tasks. A call
that computes, or waits without awaiting, holds up all others.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from producer.models.bounded import MAX_PENDING, Bounded


class _Loop(Executor):
    """Run calls as tasks of an event loop on a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: set[Future[Any]] = set()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        # A daemon: a program that forgot `shutdown` must be able to end.
        self._thread = threading.Thread(target=self._serve, name="event-loop", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            future: Future[Any] = asyncio.run_coroutine_threadsafe(_call(fn, args, kwargs), self._loop)
            self._futures.add(future)
        future.add_done_callback(self._forget)
        return future

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._futures.discard(future)
            if self._closed and not self._futures:
                self._loop.call_soon_threadsafe(self._loop.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            # The futures are done; a task that was cancelled may still have its clean-up to run.
            tasks = asyncio.all_tasks(self._loop)
            if tasks:
                self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            first, self._closed = not self._closed, True
            futures = list(self._futures)
            if first and not futures:
                self._loop.call_soon_threadsafe(self._loop.stop)
        if cancel_futures:
            for future in futures:
                future.cancel()
        if wait:
            self._thread.join()


async def _call(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    value = fn(*args, **kwargs)
    return await value if inspect.isawaitable(value) else value


class EventLoopExecutor(Bounded, _Loop):
    """Run coroutine functions on an event loop in one thread, all of them at once.

    A plain function runs too, and holds up the loop until it returns. As always in asyncio, a call that
    already runs can be cancelled: `CancelledError` is raised where it awaits.

    Args:
        max_pending: calls that may be unfinished; above that `submit` waits.
    """

    def __init__(self, *, max_pending: int = MAX_PENDING) -> None:
        super().__init__(max_pending=max_pending)
