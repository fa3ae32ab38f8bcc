"""Compare: one job through every model, in interleaved rounds.

For each round and model a leg: open the executor ─▶ warm it up ─▶ run all calls (measured) ─▶ close it. So no
model finds a machine that another one's threads and processes still occupy, and what start-up costs is known
and kept apart. The cluster alone stays up across rounds, as a cluster does.
"""

from __future__ import annotations

import gc
import importlib
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psutil

from producer.experiments.check import Checker
from producer.experiments.job import CannotRunError, Job, served
from producer.measurement.cost import measuring_cost
from producer.measurement.environment import environment
from producer.measurement.noise import meter
from producer.measurement.resources import Sampler, pss, sampled, tree
from producer.measurement.run import Leg, Run
from producer.measurement.trace import Failure, StalledError, one_line, trace
from producer.models import MODELS, Model, abandon
from worker import workloads
from worker.call import Call, clock, run, run_async

if TYPE_CHECKING:
    from producer.broker import Worker
    from producer.cluster import Cluster

T = TypeVar("T")

#: Rounds beyond this would narrow the intervals by little, and keep the user waiting.
MOST_ROUNDS = 20
FEWEST_ROUNDS = 2
#: A third round may stretch the budget by so much: two can hardly tell any difference.
STRETCH = 1.25
#: The environment variable that says where Flower is, for a cluster that is there already.
FLOWER_VARIABLE = "BREAKEVEN_FLOWER_ADDRESS"
#: Seconds within which a pool's workers must have answered.
READY = 60.0


class UnreachableError(Exception):
    """The broker that the user named can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare.

    Attributes:
        models: names of the models.
        workers: workers of each pool, and processes of the embedded cluster.
        rounds: how many; None fits them to the budget.
        budget: seconds that the rounds may take, where their number is not given.
        timeout: seconds without any call ending after which a model is given up; None for no limit.
        seed: for the order of the models in each round.
        url: the broker; None starts an embedded cluster if one is needed.
        flower: whether the embedded cluster has Flower.
        settings: what else to save with the run.
    """

    models: Sequence[str]
    workers: int
    rounds: int | None = None
    budget: float = 80.0
    timeout: float | None = None
    seed: int = 0
    url: str | None = None
    flower: bool = False
    settings: dict[str, Any] | None = None


class Observer(Protocol):
    """Who wants to know how it goes."""

    def doing(self, what: str, run: Run) -> None:
        """Something begins that takes time; `run` is what is known so far."""

    def begins(self) -> None:
        """The calls of a leg begin: its executor is open and warm."""

    def ends(self) -> None:
        """They have ended; the executor is still to be closed."""

    def measured(self, leg: Leg, run: Run) -> None:
        """A leg is over."""

    def left_out(self, model: str, why: str, run: Run) -> None:
        """A model can't run, or not any more."""


def compare(job: Job, options: Options, observer: Observer) -> Run:
    """Run a job through the models and return what was measured.

    Ctrl-C ends it early, with what there is so far: the run then is `interrupted`.

    Args:
        job: what to run.
        options: how.
        observer: told of everything that happens, from this thread.

    Raises:
        UnreachableError: `options.url` names a broker that can't be reached, or that has no workers.
    """
    # What the figures need is loaded before any is measured: each leg shall find the same memory.
    importlib.import_module("numpy")
    importlib.import_module("scipy.special")
    with ExitStack() as stack:
        comparison = _Comparison(stack.enter_context(served(job)), options, observer, stack)
        try:
            comparison.all_rounds()
        except KeyboardInterrupt:
            # A call that computes in a thread goes on, and the user waits for the report: take turns faster.
            sys.setswitchinterval(5e-4)
            comparison.run = replace(comparison.run, interrupted=True)
        return comparison.run


class _Comparison:
    """The state of a comparison while it goes on: the run so far, and the cluster."""

    def __init__(self, job: Job, options: Options, observer: Observer, stack: ExitStack) -> None:
        self.job, self.options, self.observer, self.stack = job, options, observer, stack
        self.me = psutil.Process()
        self.cluster: Cluster | None = None
        self.checker = Checker(job)
        settings = {
            "workers": options.workers,
            "rounds": options.rounds,
            "budget": options.budget,
            "timeout": options.timeout,
            "seed": options.seed,
            "remote": options.url is not None,
            **(options.settings or {}),
        }
        self.run = Run(
            workload=job.name,
            calls=tuple(job.labels()),
            models=tuple(options.models),
            settings=settings,
            environment=environment(),
            began=clock(),
            measuring=measuring_cost(),
        )
        self.note(f"Memory includes the producer's own {pss(self.me) / 1e6:.0f} MB.")

    def note(self, sentence: str) -> None:
        self.run = replace(self.run, notes=(*self.run.notes, sentence))

    def leave_out(self, model: str, why: str) -> None:
        self.run = replace(self.run, unavailable={**self.run.unavailable, model: why})
        self.observer.left_out(model, why, self.run)

    def all_rounds(self) -> None:
        reasons = {
            name: MODELS[name].unavailable(self.job.function, self.job.async_function)
            for name in self.options.models
        }
        if any(MODELS[name].on_cluster and why is None for name, why in reasons.items()):
            self.reach_cluster()
        for name, why in reasons.items():
            if why is not None:
                self.leave_out(name, why)
        begun = time.perf_counter()
        for number, order in enumerate(orders(self.left(), self.options.seed), 1):
            round_begun = time.perf_counter()
            for name in order:
                if name not in self.run.unavailable:
                    self.one_leg(MODELS[name], number)
            now = time.perf_counter()
            if not self.left() or self.enough(number, now - begun, now - round_begun):
                break

    def left(self) -> list[str]:
        return [name for name in self.options.models if name not in self.run.unavailable]

    def enough(self, number: int, spent: float, last: float) -> bool:
        if self.options.rounds is not None:
            return number >= self.options.rounds
        if number < FEWEST_ROUNDS:
            return False
        budget = self.options.budget * (STRETCH if number == FEWEST_ROUNDS else 1.0)
        return number >= MOST_ROUNDS or spent + last > budget

    def reach_cluster(self) -> None:
        """Find the cluster that the user named, or start one of our own."""
        from producer.cluster import ClusterError, embedded

        if self.options.url is not None:
            workers = reach_workers(self.options.url)
            self.note_round_trip(self.options.url)
            processes = sum(worker.processes for worker in workers)
            self.note(
                f"The broker queue ran on {_counted(processes, 'process', 'processes')} of "
                f"{_counted(len(workers), 'worker', 'workers')}, in the cluster that CELERY_BROKER_URL "
                "names; their CPU and memory are not seen from here."
            )
            self.note_flower(os.environ.get(FLOWER_VARIABLE))
            return
        self.observer.doing("starting the embedded cluster", self.run)
        begun = time.perf_counter()
        try:
            self.cluster = self.stack.enter_context(
                embedded(self.options.workers, paths=[str(Path.cwd())], flower=self.options.flower)
            )
        except ClusterError as error:
            for name in self.left():
                if MODELS[name].on_cluster:
                    self.leave_out(name, str(error))
            return
        self.run = replace(self.run, cluster_startup=time.perf_counter() - begun)
        if self.cluster.flower_url:
            self.note_round_trip(self.cluster.url)
        self.note_flower(self.cluster.flower_url)

    def note_round_trip(self, url: str) -> None:
        """Measure what the way to the broker costs: it is a part of the queue's overhead."""
        from producer.broker import round_trip

        self.run = replace(self.run, settings={**self.run.settings, "round_trip": round_trip(url)})

    def note_flower(self, url: str | None) -> None:
        """Tell where Flower shows this run's own tasks: it finds them by what their ids begin with."""
        if url:
            from producer.dispatch.dispatcher import TAG

            link = f"{url.rstrip('/')}/tasks?name=run_calls%20{TAG}"
            self.note(f"Flower shows the tasks of this run at {link}")
            self.observer.doing(f"Flower shows the tasks of this run at {link}", self.run)

    def one_leg(self, model: Model, number: int) -> None:
        """Open, warm up, measure, close."""
        self.observer.doing(f"round {number}: {model.name}", self.run)
        # What is there already (the HTTP server, the cluster, another pool's fork server) is not this leg's.
        before = frozenset(tree(self.me)) - {self.me}

        def involved() -> list[psutil.Process]:
            mine = tree(self.me, without=before)
            return [*mine, *self.cluster.processes()] if model.on_cluster and self.cluster else mine

        begun = time.perf_counter()
        try:
            executor = model.open(self.options.workers, self.cluster)
        except (BrokenExecutor, OSError, RuntimeError) as error:
            self.leave_out(model.name, one_line(error))
            return
        stalled = True
        try:
            at_once, answered = self.ready(executor, model)
            startup = answered - begun
            calls = self.job.calls(asynchronous=model.asynchronous)
            gc.collect()  # the rubbish of the leg before is not this one's
            sampler = Sampler(lambda: dict.fromkeys(involved()))
            aside = before.difference(involved())
            self.observer.begins()
            earlier = meter(aside)
            with sampled(sampler):
                rows, outcomes = trace(executor, _entry(model), calls, self.options.timeout)
            self.observer.ends()
            resources = sampler.result()
            noise = earlier.noise(meter(aside), resources.cpu + sampler.own_cpu)
            stalled = any(isinstance(outcome.error, StalledError) for outcome in outcomes)
        except CannotRunError as error:
            self.leave_out(model.name, str(error))
            return
        finally:
            if stalled:
                abandon(executor)
            else:
                executor.shutdown()
        all_seen = not model.on_cluster or self.cluster is not None
        leg = Leg(
            model.name,
            number,
            at_once,
            startup,
            rows,
            resources,
            sampler.timeline(),
            noise if all_seen else None,
        )
        self.checker.check(model.name, outcomes)
        self.run = replace(self.run, legs=(*self.run.legs, leg), problems=self.checker.problems)
        self.observer.measured(leg, self.run)
        if stalled or any(isinstance(outcome, Failure) for outcome in outcomes):
            self.leave_out(model.name, "given up after a round in which calls did not come back")

    def ready(self, executor: Executor, model: Model) -> tuple[int, float]:
        """Have every worker run something; return how many calls fit in at a time, and when all had."""
        workers = self.options.workers
        try:
            if model.on_cluster:
                found = executor.wait_ready(READY)  # type: ignore[attr-defined]
                workers = sum(worker.processes for worker in found) or workers
            answered = warm_up(executor, model, self.job, workers)
        except (Exception, CancelledError) as error:
            raise CannotRunError(one_line(error)) from error
        return model.at_once(workers, len(self.job.arguments)), answered


def orders(names: Sequence[T], seed: int) -> Iterator[list[T]]:
    """Yield the order of each round, without an end.

    The first is that of `names`. Every second is the reverse of the one before it, so that what an early or a
    late place costs cancels out; the others are shuffled, so that none always runs after the same neighbour.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    order = list(names)
    while True:
        yield list(order)
        order.reverse()
        yield list(order)
        chance.shuffle(order)


def warm_up(executor: Executor, model: Model, job: Job, workers: int) -> float:
    """Have each worker of an executor run something, and import what the job's function needs.

    Each call takes the job's function as its argument and returns it: nothing is computed, but whoever
    unpickles it imports its module. Calls that sleep go between them, so that one worker does not get them
    all; the sleeps grow until every worker has been seen.

    Returns:
        When the last worker had answered, on the clock of `time.perf_counter`.

    Raises:
        Exception: what a call of this kind raised; e.g. the worker can't import the function's module.
    """
    noop: Any = workloads.noop_async if model.asynchronous else workloads.noop
    sleep: Any = workloads.sleep_async if model.asynchronous else workloads.sleep
    function: Any = job.async_function if model.asynchronous else job.function
    wanted = workers if model.width == "workers" else 1
    seen: set[str] = set()
    for attempt in range(1, 11):
        touches = []
        sleeps = []
        for _ in range(wanted):
            touches.append(executor.submit(_entry(model), Call(noop, (function,))))
            if wanted > 1:
                sleeps.append(executor.submit(_entry(model), Call(sleep, (0.01 * attempt,))))
        for future in touches:
            outcome = future.result(READY)
            if outcome.error is not None:
                raise outcome.error
            seen.add(outcome.worker)
        answered = time.perf_counter()
        for future in sleeps:
            future.result(READY)
        if len(seen) >= wanted:
            break
    return answered


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _entry(model: Model) -> Callable[[Call], Any]:
    return run_async if model.asynchronous else run


def reach_workers(url: str) -> list[Worker]:
    """Return the workers of the cluster that the user named.

    Raises:
        UnreachableError: its broker does not answer, or no worker is there.
    """
    from producer import broker

    try:
        found = broker.workers(url)
    except broker.BrokerUnavailableError as error:
        raise UnreachableError(str(error)) from error
    if not found:
        raise UnreachableError(
            f"the broker {broker.shown(url)} answers, but no worker serves the queue {broker.queue_name()!r}"
        )
    return found


def broker_url() -> str | None:
    """Return the URL of the broker that the user's environment names; None without one."""
    return os.environ.get("CELERY_BROKER_URL") or None
