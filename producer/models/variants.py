"""Thread pools whose queue has a small bound: what makes a difference under overload, and there alone.

That of all other models is there to keep memory in bounds, and out of reach of what they usually get.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING

from producer.models import MODELS, Model

if TYPE_CHECKING:
    from producer.cluster import Cluster

#: Calls that may wait for each worker.
QUEUE = 8


def _blocking(workers: int, _cluster: Cluster | None) -> Executor:
    from producer.models.thread_pool import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, max_pending=(1 + QUEUE) * workers)


def _rejecting(workers: int, _cluster: Cluster | None) -> Executor:
    from producer.models.thread_pool import RejectingThreadPoolExecutor

    return RejectingThreadPoolExecutor(workers, max_pending=(1 + QUEUE) * workers)


BLOCKING = replace(
    MODELS["thread-pool"],
    name="thread-pool-blocking",
    summary="a fixed number of threads; submit waits where the queue is full",
    open=_blocking,
)
REJECTING = replace(
    MODELS["thread-pool"],
    name="thread-pool-rejecting",
    summary="a fixed number of threads; submit refuses where the queue is full",
    open=_rejecting,
)
#: Every model, and the two above.
VARIANTS: dict[str, Model] = {**MODELS, BLOCKING.name: BLOCKING, REJECTING.name: REJECTING}
