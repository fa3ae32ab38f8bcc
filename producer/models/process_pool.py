"""A fixed number of processes that share one queue: `concurrent.futures.ProcessPoolExecutor`, bounded.

    submit ─▶ work items ─▶ manager thread ─▶ call queue (pipe) ─▶ worker process ─┐
    future ◀──────────────── manager thread ◀─ result queue (pipe) ◀───────────────┘

The standard library's pool is used as it is, but for four things that a program needs which people start
and stop at will:

- Its processes come from a fork server, where the system has one: forking a program that has threads can
  copy a lock that nobody will ever release (the default on Linux before Python 3.14).
- Ctrl-C reaches every process of the terminal's foreground. The workers ignore it; the producer decides. From
  their birth until then it is held back from them, and from the fork server.
- In the producer it waits while a process or the manager thread is started. Cut short, that would leave one
  that nobody knows of, and that finds half of the pool gone.
- A producer that is killed cannot stop its workers. So each watches its parent, and leaves with it.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor as _ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any

from producer.models.bounded import MAX_PENDING, Bounded

#: Seconds within which the manager thread finds its processes gone, and ends. It takes milliseconds.
_MANAGER_ENDS = 5.0


class ProcessPoolExecutor(Bounded, _ProcessPoolExecutor):
    """The standard library's process pool, with a bound on waiting calls and workers that never outlive it.

    Args:
        max_workers: processes.
        max_pending: calls that may be unfinished; above that `submit` waits.
    """

    def __init__(self, max_workers: int, *, max_pending: int = MAX_PENDING) -> None:
        super().__init__(max_workers, mp_context=_context(), initializer=_start, max_pending=max_pending)

    def _spawn_process(self) -> None:
        with _uninterrupted():
            super()._spawn_process()  # type: ignore[misc]  # type checkers are not told of it

    def _start_executor_manager_thread(self) -> None:
        if self._executor_manager_thread is None:  # this is asked with each call
            with _uninterrupted():
                super()._start_executor_manager_thread()

    def kill(self) -> None:
        """End the pool now: waiting calls are cancelled, running ones are lost (`BrokenProcessPool`)."""
        processes = list((self._processes or {}).values())
        manager: Any = self._executor_manager_thread  # a thread; type checkers are told otherwise
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        if manager is not None:
            manager.join(_MANAGER_ENDS)


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Imported once by the fork server, and shared by all its children.
    context.set_forkserver_preload(["worker.call", "worker.workloads", __name__])
    return context


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Have Ctrl-C and its like handled at the end of the body; a process that is started there sees none."""
    came: list[int] = []
    handlers = {}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        if threading.current_thread() is threading.main_thread():  # the others are never interrupted
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(signal.getsignal(number)):
                    handlers[number] = signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def _start() -> None:
    """Prepare a worker process; runs in it before its first call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # what a call starts may want it
    threading.Thread(target=_leave_with_parent, name="leave-with-parent", daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        # Nobody is left to tell: no clean-up, no flush, no waiting for the call that runs.
        os._exit(1)
