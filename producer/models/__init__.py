"""The concurrency models, each a `concurrent.futures.Executor`, in one table.

An experiment takes a `Model` from `MODELS`, opens it, and from there on knows an Executor and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from producer.models import interpreter_pool

if TYPE_CHECKING:
    from producer.cluster import Cluster


def _always() -> None:
    return None


@dataclass(frozen=True)
class Model:
    """One way to run calls.

    Attributes:
        name: what the user calls it.
        summary: one line on how it runs calls.
        open: makes its executor from a number of workers and, for a model on a cluster, the embedded cluster
            (None: the cluster is the one that `CELERY_BROKER_URL` names, with the workers that it has).
        width: how many calls can be in progress at a time: one, one on each worker, or all of them.
        asynchronous: whether it runs coroutine functions (`run_async`) instead of plain ones (`run`).
        on_cluster: whether it needs a broker and Celery workers.
        missing: says what this machine or Python lacks to run it; None if nothing.
    """

    name: str
    summary: str
    open: Callable[[int, Cluster | None], Executor]
    width: Literal["one", "workers", "all"]
    asynchronous: bool = False
    on_cluster: bool = False
    missing: Callable[[], str | None] = _always

    def at_once(self, workers: int, calls: int) -> int:
        """Return how many of `calls` can be in progress at a time, with so many `workers`."""
        return {"one": 1, "workers": min(workers, calls), "all": calls}[self.width]

    def unavailable(
        self, function: Callable[..., Any] | None, async_function: Callable[..., Any] | None
    ) -> str | None:
        """Say why this model can't run a workload here; None if it can.

        Args:
            function: the workload's plain function; None if it has none.
            async_function: its coroutine function; None if it has none.
        """
        if self.asynchronous and async_function is None:
            return "needs a coroutine function (async def)"
        if not self.asynchronous and function is None:
            return "needs a plain function; a coroutine function runs on the event loop"
        return self.missing()


# Each model's module is imported when it is opened: `producer --help` needs neither asyncio nor Celery.


def _sequential(_workers: int, _cluster: Cluster | None) -> Executor:
    from producer.models.sequential import SequentialExecutor

    return SequentialExecutor()


def _thread_per_request(_workers: int, _cluster: Cluster | None) -> Executor:
    from producer.models.thread_per_request import ThreadPerRequestExecutor

    return ThreadPerRequestExecutor()


def _thread_pool(workers: int, _cluster: Cluster | None) -> Executor:
    from producer.models.thread_pool import ThreadPoolExecutor

    return ThreadPoolExecutor(workers)


def _process_pool(workers: int, _cluster: Cluster | None) -> Executor:
    from producer.models.process_pool import ProcessPoolExecutor

    return ProcessPoolExecutor(workers)


def _interpreter_pool(workers: int, _cluster: Cluster | None) -> Executor:
    return interpreter_pool.interpreter_pool(workers)


def _event_loop(_workers: int, _cluster: Cluster | None) -> Executor:
    from producer.models.event_loop import EventLoopExecutor

    return EventLoopExecutor()


def _broker_queue(_workers: int, cluster: Cluster | None) -> Executor:
    return _on_cluster(cluster, 1)


def _broker_queue_batched(_workers: int, cluster: Cluster | None) -> Executor:
    return _on_cluster(cluster, "auto")


def _on_cluster(cluster: Cluster | None, batch: int | Literal["auto"]) -> Executor:
    from producer.models.broker_queue import CeleryExecutor

    if cluster is None:
        return CeleryExecutor(batch=batch)
    return CeleryExecutor(url=cluster.url, queue=cluster.queue, key_file=cluster.key_file, batch=batch)


def limited(name: str, messages: int) -> Executor:
    """Open a broker queue on the cluster that CELERY_BROKER_URL names.

    Args:
        name: of the model.
        messages: that may be under way at a time: so many of its workers' processes are busy at most.
    """
    from producer.models.broker_queue import CeleryExecutor

    return CeleryExecutor(batch=1 if name == "broker-queue" else "auto", max_workers=messages)


def abandon(executor: Executor) -> None:
    """Shut an executor down without waiting: what waits is cancelled, and processes of its own are ended.

    Python cannot end a thread: calls that run in this process go on.
    """
    kill = getattr(executor, "kill", None)
    if kill is not None:
        kill()
    else:
        executor.shutdown(wait=False, cancel_futures=True)


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("sequential", "one call after another, in the caller's thread", _sequential, "one"),
        Model("thread-per-request", "a new thread for each call, none reused", _thread_per_request, "all"),
        Model("thread-pool", "a fixed number of threads", _thread_pool, "workers"),
        Model("process-pool", "a fixed number of processes", _process_pool, "workers"),
        Model(
            "interpreter-pool",
            "a fixed number of interpreters in one process, each with its own GIL (Python 3.14)",
            _interpreter_pool,
            "workers",
            missing=interpreter_pool.missing,
        ),
        Model("event-loop", "coroutines on one thread", _event_loop, "all", asynchronous=True),
        Model(
            "broker-queue",
            "Celery workers behind a broker, one message a call",
            _broker_queue,
            "workers",
            on_cluster=True,
        ),
        Model(
            "broker-queue-batched",
            "Celery workers behind a broker, calls travel in batches",
            _broker_queue_batched,
            "workers",
            on_cluster=True,
        ),
    )
}
