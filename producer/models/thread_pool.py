"""A fixed number of threads that share one queue: `concurrent.futures.ThreadPoolExecutor`, bounded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor as _ThreadPoolExecutor

from producer.models.bounded import MAX_PENDING, Bounded, Rejecting


class ThreadPoolExecutor(Bounded, _ThreadPoolExecutor):
    """The standard library's thread pool, with a bound on the calls that wait.

    Args:
        max_workers: threads.
        max_pending: calls that may be unfinished; above that `submit` waits.
    """

    def __init__(self, max_workers: int, *, max_pending: int = MAX_PENDING) -> None:
        super().__init__(max_workers, thread_name_prefix="thread-pool", max_pending=max_pending)


class RejectingThreadPoolExecutor(Rejecting, ThreadPoolExecutor):
    """The same, but a call for which there is no room is refused: `submit` raises `RejectedError`."""
