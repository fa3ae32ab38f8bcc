"""A new thread for each call, none reused: the textbook's first server, and its first trouble."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from producer.models.bounded import Bounded

T = TypeVar("T")

#: Threads that may be alive at a time. Each has a stack and a kernel thread; Linux containers commonly
#: allow a few thousand (Docker hosts and systemd units: 4,915 on a small machine, 15 % of 32,768).
MAX_THREADS = 4_000


class _Threads(Executor):
    """Start a thread for each call at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._numbers = itertools.count()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            thread = threading.Thread(
                target=self._work, args=(future, fn, args, kwargs), name=f"request-{next(self._numbers)}"
            )
            future.set_running_or_notify_cancel()
            self._threads.add(thread)
            try:
                thread.start()
            except BaseException:  # the system has no thread left to give
                self._threads.discard(thread)
                raise
        return future

    def _work(self, future: Future[T], fn: Callable[..., T], args: Any, kwargs: Any) -> None:
        try:
            value = fn(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001, RUF100 - whatever it is, it is the caller's
            future.set_exception(error)
        else:
            future.set_result(value)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        if wait:
            for thread in threads:
                thread.join()


class ThreadPerRequestExecutor(Bounded, _Threads):
    """Run each call in a thread of its own, started by `submit` and ended with the call.

    A call runs from the moment it is submitted, so none can be cancelled.

    Args:
        max_threads: threads that may be alive at a time; above that `submit` waits for one to end.
    """

    def __init__(self, *, max_threads: int = MAX_THREADS) -> None:
        super().__init__(max_pending=max_threads)
