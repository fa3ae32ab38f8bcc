"""Calls on Celery workers, behind a broker: `concurrent.futures.Executor` on a cluster.

    CeleryExecutor (here)      what a program sees: submit, map, shutdown, with_options
        Dispatcher             threads, batches, messages, replies   (producer/dispatch/dispatcher.py)
            broker             Redis or Valkey
                worker         Celery: run_calls                     (worker/tasks.py)

It keeps the contract of `ProcessPoolExecutor`; docs/celery-executor.md says where it differs, and why.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import multiprocessing.util
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from producer.broker import Worker, queue_name
from producer.dispatch.dispatcher import Dispatcher
from producer.dispatch.future import CallFuture
from worker.call import run_chunk
from worker.signing import load_key

T = TypeVar("T")

#: Calls that may be outstanding; above that `submit` waits. Enough to keep a large cluster busy for as long
#: as its news take; 20,000 futures are some 15 MB.
MAX_PENDING = 20_000

#: Seconds without a worker, or without the broker, after which all calls fail.
PATIENCE = 30.0

_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


class _Calls(Executor):
    """What an executor and its `with_options` have in common: `submit`, and `map` over it."""

    _dispatcher: Dispatcher
    _time_limit: float | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call; wait for room first where `max_pending` calls are outstanding.

        Raises:
            BrokenExecutor: the cluster was given up; the message says why.
            RuntimeError: the executor was shut down.
        """
        return self._dispatcher.submit(fn, args, kwargs, self._time_limit)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator over `fn`'s results, in the order of its inputs, as the built-in `map` does.

        Inputs are pulled as results are taken: never more of them are outstanding than `buffersize`, or than
        the executor's `max_pending`. So a million inputs, or an endless supply, need no more memory than
        that many.

        Args:
            fn: what to call.
            *iterables: its arguments.
            timeout: seconds from now by which each result has to be there; None for no limit.
            chunksize: inputs that travel, and succeed or fail, as one call. 1 is best for nearly all work:
                calls that are short travel together in any case.
            buffersize: results that may be there, or be computed, ahead of the one that is taken next.

        Raises:
            TimeoutError: (from the iterator) a result was not there in time.
            ValueError: `chunksize` or `buffersize` is below 1.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else time.monotonic() + timeout
        inputs = zip(*iterables, strict=False)
        if chunksize > 1:
            chunks = iter(lambda: list(itertools.islice(inputs, chunksize)), [])
            calls = ((partial(run_chunk, fn), (chunk,)) for chunk in chunks)
            return _flat(self._results(calls, end, buffersize))
        return self._results(((fn, args) for args in inputs), end, buffersize)

    def _results(
        self, calls: Iterator[tuple[Any, tuple[Any, ...]]], end: float | None, buffersize: int | None
    ) -> Iterator[Any]:
        window = buffersize or self._dispatcher.max_pending
        # Submitted now, not when the first result is asked for.
        submit = partial(self._dispatcher.submit, limit=self._time_limit, end=end)
        futures: deque[CallFuture] = deque()
        late = False
        try:
            futures.extend(submit(fn, args, {}) for fn, args in itertools.islice(calls, window))
        except TimeoutError:  # whoever takes the results will be told, and have those that are there in time
            late = True

        def results() -> Iterator[Any]:
            try:
                while futures:
                    for fn, args in itertools.islice(calls, 0 if late else 1):
                        futures.append(submit(fn, args, {}))
                    # No name here for what is yielded: the caller alone shall hold on to it.
                    yield _result_or_cancel(futures.popleft(), end)
                if late:
                    raise TimeoutError
            finally:
                self._dispatcher.cancel(futures)

        return results()


class CeleryExecutor(_Calls):
    """Run calls on Celery workers.

    With a `url`, or CELERY_BROKER_URL, the workers are those of that cluster. With neither, a cluster is
    started on this machine, which sees the caller's modules, and taken down at `shutdown`.

    Calls that are short travel together, in batches that size themselves; a call that takes longer than a
    message costs travels alone. At most `max_pending` calls are outstanding: `submit` waits above that.

    Args:
        max_workers: processes of the cluster that is started (default: the cores in reach); on a cluster
            that is there, the messages of this executor that may be under way at a time (default: two for
            each process of the cluster).
        url: the broker, as Celery takes it.
        batch: how many calls may travel in one message; "auto" goes by how long they take.
        max_pending: calls that may be outstanding.
        patience: seconds without a worker, or without the broker, after which every call fails.
        queue: the queue's name; by default BREAKEVEN_QUEUE, or `breakeven`.
        key_file: the cluster's signing key; by default BREAKEVEN_KEY_FILE, or a file in the user's
            configuration.

    Raises:
        ValueError: an argument is out of range.
        BrokerUnavailableError: the URL is not one of Redis.
        KeyFileError: the signing key can't be read.
        ClusterError: no cluster could be started on this machine.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        url: str | None = None,
        batch: int | Literal["auto"] = "auto",
        max_pending: int = MAX_PENDING,
        patience: float = PATIENCE,
        queue: str | None = None,
        key_file: str | Path | None = None,
    ) -> None:
        if max_workers is not None and max_workers < 1:
            raise ValueError("max_workers must be greater than 0")
        if max_workers is not None and not isinstance(max_workers, int):
            raise ValueError(f"max_workers must be a whole number, not {max_workers}")
        if batch != "auto" and (not isinstance(batch, int) or batch < 1):
            raise ValueError(f"batch must be a number of calls of 1 or more, or 'auto', not {batch!r}")
        if not isinstance(max_pending, int) or max_pending < 1:
            raise ValueError(f"max_pending must be a whole number of at least 1, not {max_pending}")
        if not 0 < patience <= threading.TIMEOUT_MAX:
            raise ValueError(f"patience must be a number of seconds above 0, not {patience}")
        url = url or os.environ.get("CELERY_BROKER_URL") or None
        release: Callable[[], None] = _nothing
        if url is None:
            from producer.cluster import started_for

            served = started_for(max_workers, paths=[path or str(Path.cwd()) for path in sys.path])
            url, queue, key_file, release = served.url, served.queue, served.key_file, served.release
            max_workers = None
        self._dispatcher = Dispatcher(
            url=url,
            key=load_key(None if key_file is None else Path(key_file)),
            queue=queue or queue_name(),
            batch=batch,
            max_workers=max_workers,
            max_pending=max_pending,
            patience=patience,
            on_end=release,
        )
        _dispatchers.add(self._dispatcher)
        if multiprocessing.parent_process() is not None:  # what atexit has registered does not run there
            multiprocessing.util.Finalize(None, _end_all, exitpriority=1)
        # An executor that is dropped without a shutdown ends when its calls have.
        weakref.finalize(self, self._dispatcher.close, cancel_futures=False).atexit = False

    def with_options(self, *, time_limit: float | None = None) -> LimitedExecutor:
        """Return this executor with options for each call that is submitted through it.

        Args:
            time_limit: seconds that a call may run. It is then stopped on its worker, and its future raises
                TimeoutError. Waiting does not count.

        Raises:
            ValueError: the limit is not above 0.
        """
        return LimitedExecutor(self, time_limit)

    def wait_ready(self, timeout: float) -> list[Worker]:
        """Wait for workers, and return those that are there.

        Raises:
            BrokenExecutor: none is there after `timeout` seconds, or they can't serve this executor.
        """
        return self._dispatcher.wait_for_workers(timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further calls, and end when those that were taken have ended.

        Args:
            wait: until then. Otherwise it happens in the background.
            cancel_futures: cancel those that have not started.
        """
        self._dispatcher.close(cancel_futures=cancel_futures)
        if wait:
            self._dispatcher.join()

    def kill(self) -> None:
        """End now: what has not started is cancelled, what runs fails with `ShutDownError`."""
        self._dispatcher.kill()
        self._dispatcher.join()


def _disown() -> None:
    for dispatcher in list(_dispatchers):
        dispatcher.disown()
    _dispatchers.clear()


os.register_at_fork(after_in_child=_disown)


class LimitedExecutor(_Calls):
    """An executor whose calls are stopped when they take too long: `CeleryExecutor.with_options`."""

    def __init__(self, executor: CeleryExecutor, time_limit: float | None) -> None:
        if time_limit is not None and not time_limit > 0:
            raise ValueError(f"time_limit must be more than 0 seconds, not {time_limit}")
        self._executor = executor
        self._dispatcher = executor._dispatcher  # noqa: SLF001 - of the same module
        self._time_limit = time_limit

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down the executor that this one belongs to."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _result_or_cancel(future: CallFuture, end: float | None) -> Any:
    """Return a future's result; cancel it if that is not there in time."""
    try:
        return future.result(None if end is None else end - time.monotonic())
    finally:
        if not future.done():
            future.cancel()
        del future  # an error's traceback shall not hold on to it


def _flat(chunks: Iterator[list[Any]]) -> Iterator[Any]:
    """Return the elements of `chunks`; a generator, so that it can be closed as `map`'s other ones can."""
    for chunk in chunks:
        yield from chunk


def _nothing() -> None:
    return None


@atexit.register
def _end_all() -> None:
    """Let calls that are outstanding end before the interpreter does, as the standard library's pools do."""
    dispatchers = list(_dispatchers)
    for dispatcher in dispatchers:
        dispatcher.close(cancel_futures=False)
    for dispatcher in dispatchers:
        dispatcher.join()
