"""Where calls run: a model's executor, or several, with the cluster that they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from producer.experiments.compare import (
    READY,
    UnreachableError,
    broker_url,
    reach_workers,
    warm_up,
)
from producer.experiments.job import CannotRunError, InputError, Job
from producer.measurement.summary import makespan
from producer.measurement.trace import Trace, one_line, trace
from producer.models import MODELS, Model, abandon, limited
from worker.call import run, run_async

if TYPE_CHECKING:
    from producer.cluster import Cluster

#: Calls that are run at a time at most.
MOST_CALLS = 5_000


@contextmanager
def open_executor(model: Model, workers: int) -> Iterator[Executor]:
    """Open a model's executor for as long as the body runs; a broker queue's workers have answered then.

    Where the body raises, calls are abandoned; otherwise they are waited for.

    Raises:
        InputError: the broker that CELERY_BROKER_URL names can't be reached or has no workers, or no cluster
            can be started.
    """
    with ExitStack() as stack:
        cluster = stack.enter_context(open_cluster(workers)) if model.on_cluster else None
        yield stack.enter_context(opened(model, workers, cluster))


@contextmanager
def open_pool(model: Model, size: int) -> Iterator[Executor]:
    """Like `open_executor`, with so many workers also where a cluster is there already.

    Its workers are what they are; but no more than `size` messages are under way to them at a time.
    """
    if not model.on_cluster or broker_url() is None:
        with open_executor(model, size) as executor:
            yield executor
        return
    with open_executor(replace(model, open=lambda size, _: limited(model.name, size)), size) as executor:
        yield executor


def open_models(
    names: Sequence[str], workers: int, job: Job, stack: ExitStack, doing: Callable[[str], None]
) -> tuple[dict[str, Executor], dict[str, str]]:
    """Open the executors of all models that can run a job, for as long as `stack` is open, and warm them up.

    Those on a cluster share one.

    Args:
        names: of the models.
        workers: workers of each pool.
        job: whose functions they have to be able to run.
        stack: closes them.
        doing: told what goes on.

    Returns:
        The executors, by the model's name; and why the others can't run.

    Raises:
        CannotRunError: a worker can't run the job's function.
        InputError: a cluster is needed and can't be used.
    """
    models = [MODELS[name] for name in names]
    reasons = {model.name: model.unavailable(job.function, job.async_function) for model in models}
    unavailable = {name: why for name, why in reasons.items() if why is not None}
    models = [model for model in models if model.name not in unavailable]
    cluster = None
    if any(model.on_cluster for model in models):
        doing("reaching the cluster")
        cluster = stack.enter_context(open_cluster(workers))
    executors: dict[str, Executor] = {}
    for model in models:
        doing(f"opening {model.name}")
        executors[model.name] = stack.enter_context(opened(model, workers, cluster))
        warm(executors[model.name], model, job, workers)
    return executors, unavailable


def warm(executor: Executor, model: Model, job: Job, workers: int) -> None:
    """Warm an executor up, as `warm_up` does.

    Raises:
        CannotRunError: a worker can't run the job's function.
    """
    try:
        warm_up(executor, model, job, workers)
    except Exception as error:
        raise CannotRunError(f"{model.name} can't run {job.name}: {one_line(error)}") from error


def traced(executor: Executor, model: Model, job: Job, count: int, *, in_flight: int | None = None) -> Trace:
    """Run so many calls of a job, its inputs in turn; return their trace.

    Args:
        executor: where.
        model: whose it is.
        job: the calls.
        count: how many.
        in_flight: calls that are under way at a time; None for all.

    Raises:
        CannotRunError: a call failed; there is no figure for work that is not done.
    """
    calls = list(islice(cycle(job.calls(asynchronous=model.asynchronous)), count))
    rows, outcomes = trace(executor, run_async if model.asynchronous else run, calls, in_flight=in_flight)
    for call, outcome in zip(calls, outcomes, strict=True):
        if outcome.error is not None:
            raise CannotRunError(f"{call} failed on {model.name}: {one_line(outcome.error)}")
    return rows


def fitting(
    executor: Executor, model: Model, job: Job, fewest: int, seconds: float, *, in_flight: int | None = None
) -> int:
    """Return how many calls of a job take about `seconds`; a first run tells, which is not measured.

    Args:
        executor: where.
        model: whose it is.
        job: the calls; each of its inputs is run equally often.
        fewest: calls that there have to be, for all workers to have work.
        seconds: that they should take.
        in_flight: calls that are under way at a time; None for all.

    Raises:
        CannotRunError: a call failed.
    """
    inputs = len(job.arguments)
    count = inputs * math.ceil(fewest / inputs)
    taken = makespan(traced(executor, model, job, count, in_flight=in_flight))
    fit = min(MOST_CALLS, count * seconds / max(taken, 1e-9))
    return max(count, inputs * round(fit / inputs))


def all_seen(models: Iterable[str]) -> bool:
    """Tell whether all processes that take part are ours: those of a cluster that was there are not."""
    return broker_url() is None or not any(MODELS[name].on_cluster for name in models)


@contextmanager
def open_cluster(workers: int, nodes: int = 1) -> Iterator[Cluster | None]:
    """Start an embedded cluster for as long as the body runs; None where CELERY_BROKER_URL names another one.

    Args:
        workers: the processes of its worker, or of each.
        nodes: Celery workers.

    Raises:
        InputError: that one can't be reached or has no workers; or none can be started.
    """
    url = broker_url()
    if url is not None:
        try:
            reach_workers(url)  # now, and not after all the patience that calls deserve
        except UnreachableError as error:
            raise InputError(str(error)) from error
        yield None
        return
    from producer.cluster import ClusterError, embedded

    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(embedded(workers, paths=[str(Path.cwd())]))
            with ThreadPoolExecutor(max(1, nodes - 1)) as starters:  # all at once: each takes a second
                list(starters.map(cluster.add_worker, [workers] * (nodes - 1)))
        except ClusterError as error:
            raise InputError(str(error)) from error
        yield cluster


@contextmanager
def opened(model: Model, workers: int, cluster: Cluster | None) -> Iterator[Executor]:
    """Open a model's executor like `open_executor`, on a cluster that is there if the model needs one.

    Raises:
        InputError: the cluster's workers don't answer.
    """
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
