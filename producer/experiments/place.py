"""Where one's own work runs: a model's executor, with the cluster that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from producer.experiments.compare import READY, UnreachableError, broker_url, reach_workers
from producer.experiments.job import InputError
from producer.models import Model, abandon


@contextmanager
def open_executor(model: Model, workers: int) -> Iterator[Executor]:
    """Open a model's executor for as long as the body runs; a broker queue's workers have answered then.

    Where the body raises, calls are abandoned; otherwise they are waited for.

    Raises:
        InputError: the broker that CELERY_BROKER_URL names can't be reached or has no workers, or no cluster
            can be started.
    """
    with ExitStack() as stack:
        cluster = None
        url = broker_url()
        if model.on_cluster and url is not None:
            try:
                reach_workers(url)  # now, and not after all the patience that calls deserve
            except UnreachableError as error:
                raise InputError(str(error)) from error
        elif model.on_cluster:
            from producer.cluster import ClusterError, embedded

            try:
                cluster = stack.enter_context(embedded(workers, paths=[str(Path.cwd())]))
            except ClusterError as error:
                raise InputError(str(error)) from error
        try:
            executor = model.open(workers, cluster)
        except BrokenExecutor as error:
            raise InputError(str(error)) from error
        try:
            if model.on_cluster:
                _wait_ready(executor)
            yield executor
        except BaseException:  # the results are not wanted any more
            abandon(executor)
            raise
        executor.shutdown()


def _wait_ready(executor: Executor) -> None:
    try:
        executor.wait_ready(READY)  # type: ignore[attr-defined]
    except BrokenExecutor as error:
        raise InputError(str(error)) from error
