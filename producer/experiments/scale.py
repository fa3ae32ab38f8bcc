"""Scale: throughput of the broker queue over the number of its worker processes, and of its workers.

An embedded cluster of each layout (so many workers with so many processes each) is started, one after the
other, in an order that the seed shuffles, and then all of them again. On each, each broker queue runs its
calls in two rounds, all submitted at once, and the CPU seconds are taken that producer, broker and workers
used for them: what limits shows there.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from producer.experiments.break_even import Observer
from producer.experiments.compare import broker_url, reach_workers
from producer.experiments.failures import Failures
from producer.experiments.job import InputError, Job
from producer.experiments.place import fitting, open_cluster, opened, traced, warm
from producer.experiments.work import works
from producer.measurement.environment import environment
from producer.measurement.result import Result
from producer.measurement.scalability import Law, fit
from producer.measurement.summary import Interval, makespan, ratio
from producer.models import MODELS, Model, limited
from worker.call import clock

if TYPE_CHECKING:
    import psutil

    from producer.cluster import Cluster

#: The models that can be scaled.
QUEUES = ("broker-queue", "broker-queue-batched")
#: Seconds of a call of each kind: long against what the queue adds to it, short enough for the queue to show.
SECONDS = {"io": 2e-2, "cpu": 1e-2, "digest": 1e-2}
#: What is measured unless something is named.
DEFAULT = ("io", "cpu")
#: Those that the cores limit: they are measured up to as many processes as there are cores.
COMPUTES = ("cpu", "digest")
#: The most worker processes by default, and for `--quick`.
MOST, QUICK_MOST = 16, 8
#: Processes of each worker, where there are several workers.
EACH = 2
#: Rounds at least, which is as many as with `--quick`, and at most. In each, every cluster is started anew:
#: two measurements on the same one are no two that noise could be told by.
FEWEST_ROUNDS, ROUNDS = 3, 5
#: Seconds after which no further round is begun.
BUDGET = 110.0
#: Seconds that one queue should be measured at a time, and for `--quick`.
LEG, QUICK_LEG = 0.6, 0.26


@dataclass(frozen=True, slots=True)
class Layout:
    """A cluster: so many workers with so many processes each."""

    workers: int
    each: int

    @property
    def processes(self) -> int:
        """All worker processes."""
        return self.workers * self.each


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of the parties to a queue.

    Attributes:
        producer: of this process.
        broker: of the broker; None where it can't be seen.
        workers: of all worker processes, likewise.
        machine: of all programs on this machine.
    """

    producer: float
    machine: float
    broker: float | None = None
    workers: float | None = None

    def __sub__(self, before: Used) -> Used:
        """Return what was used since."""
        return Used(
            self.producer - before.producer,
            self.machine - before.machine,
            None if self.broker is None or before.broker is None else self.broker - before.broker,
            None if self.workers is None or before.workers is None else self.workers - before.workers,
        )

    @property
    def total(self) -> float:
        """Of all three, as far as they can be seen."""
        return self.producer + (self.broker or 0.0) + (self.workers or 0.0)


@dataclass(frozen=True, slots=True)
class Point:
    """One queue on one cluster at one kind of work in one round.

    Attributes:
        work: what the calls did: the name of a job.
        model: the queue.
        layout: the cluster. On one that was there already, its processes are messages under way.
        round: counted from 1.
        calls: how many.
        makespan: seconds from the first call's submission to the last one's delivery.
        cpu: CPU seconds that were used for it.
    """

    work: str
    model: str
    layout: Layout
    round: int
    calls: int
    makespan: float
    cpu: Used

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.makespan


@dataclass(frozen=True, kw_only=True)
class Scaling(Result):
    """What scale measured.

    Attributes:
        works: the kinds of work, by name.
        layouts: the clusters, first those of one worker.
        points: every run that counts.
        problems: which queues were left out since a call failed on them, and how.
    """

    experiment: ClassVar[str] = "scale"

    works: tuple[str, ...]
    layouts: tuple[Layout, ...]
    points: tuple[Point, ...] = ()
    problems: tuple[str, ...] = ()

    def at(self, work: str, model: str, layout: Layout) -> dict[int, Point]:
        """Return the points of one queue on one cluster, by round."""
        return {
            point.round: point
            for point in self.points
            if (point.work, point.model, point.layout) == (work, model, layout)
        }

    def rate(self, work: str, model: str, layout: Layout) -> float | None:
        """Return calls a second, the geometric mean over the rounds; None if there is none."""
        rates = [math.log(point.rate) for point in self.at(work, model, layout).values()]
        return math.exp(math.fsum(rates) / len(rates)) if rates else None

    def measured(self, work: str, model: str, *, alone: bool = True) -> list[Layout]:
        """Return the layouts of a single worker on which this was measured, or all."""
        return [
            layout
            for layout in self.layouts
            if (layout.workers == 1 or not alone) and self.at(work, model, layout)
        ]

    def compared(self, work: str, model: str, layout: Layout, other: Layout) -> Interval | None:
        """Return how many times the throughput of `other` a layout has; None if they share no round."""
        mine, its = self.at(work, model, layout), self.at(work, model, other)
        both = sorted(mine.keys() & its.keys())
        return ratio([mine[n].rate for n in both], [its[n].rate for n in both]) if both else None

    def efficiency(self, work: str, model: str, layout: Layout) -> Interval | None:
        """Return the throughput of each process, against that of one alone; None where that is missing."""
        speedup = self.compared(work, model, layout, Layout(1, 1))
        if speedup is None:
            return None
        n = layout.processes
        return Interval(speedup.value / n, speedup.low / n, speedup.high / n)

    def law(self, work: str, model: str) -> Law | None:
        """Return the law of one worker with ever more processes; None for too few of them."""
        points = [p for p in self.points if (p.work, p.model, p.layout.workers) == (work, model, 1)]
        return fit([p.layout.processes for p in points], [p.rate for p in points])


def scale(
    work: str | None,
    inputs: str | None,
    models: Sequence[str],
    most: int | None,
    *,
    quick: bool,
    seed: int,
    observer: Observer,
) -> Scaling:
    """Measure the broker queue on clusters of growing size.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Args:
        work: a kind of call, a workload or `module:function`; None for `io` and `cpu`.
        inputs: a file of JSON lines with the arguments of each call; `-` is standard input.
        models: the queues.
        most: the most worker processes.
        quick: fewer processes, smaller inputs, and shorter runs.
        seed: for the order of the clusters.
        observer: told of everything that happens.

    Raises:
        InputError: no such work or file; a model that is no broker queue; or a cluster that can't be used.
        CannotRunError: a worker can't run the work, or calls of it failed on every queue.
    """
    for name in models:
        if name not in QUEUES:
            raise InputError(f"{name} is no broker queue: take {' or '.join(QUEUES)}, or producer pool-size")
    failed = Failures()
    with ExitStack() as stack:
        jobs = works(work, inputs, stack, quick=quick, kinds=SECONDS, default=DEFAULT)
        for job in jobs:
            if (why := MODELS[models[0]].unavailable(job.function, job.async_function)) is not None:
                raise InputError(f"the broker queue can't run {job.name}: {why}")
        where = environment()
        most = most or max(QUICK_MOST if quick else MOST, where.cores_in_reach)
        url = broker_url()
        layouts, notes = _layouts(most, quick=quick), tuple[str, ...]()
        if url is not None:
            with open_cluster(1):  # whether it is there
                there = sum(worker.processes for worker in reach_workers(url))
            layouts = [Layout(1, n) for n in _powers(min(most, there))]
            notes = (
                f"The cluster that CELERY_BROKER_URL names has {there} worker processes, which can't be "
                "varied from here: what was varied is how many messages are under way to them at a time.",
            )
        result = Scaling(
            works=tuple(job.name for job in jobs),
            layouts=tuple(layouts),
            models=tuple(models),
            settings={"workers": most, "quick": quick, "seed": seed, "remote": url is not None},
            environment=where,
            began=clock(),
            notes=notes,
        )
        try:
            for points, share in _rounds(result, jobs, failed, observer):
                result = replace(result, points=(*result.points, *points))
                observer.measured(share)
            failed.check(models)
        except KeyboardInterrupt:
            result = replace(result, interrupted=True)
    return replace(
        result,
        points=tuple(point for point in result.points if point.model not in failed),
        unavailable=failed.reasons,
        problems=failed.problems,
    )


def _layouts(most: int, *, quick: bool) -> list[Layout]:
    """Return one worker with 1, 2, 4, ... processes; and 2, 4, ... workers with two each."""
    several = [n // EACH for n in _powers(most) if n > EACH and n % EACH == 0]
    several = several[-1:] if quick else several  # starting them takes most of the time
    return [*(Layout(1, n) for n in _powers(most)), *(Layout(n, EACH) for n in several)]


def _powers(most: int) -> list[int]:
    return sorted({*(2**power for power in range(most.bit_length()) if 2**power <= most), most})


def _rounds(
    plan: Scaling, jobs: Sequence[Job], failed: Failures, observer: Observer
) -> Iterator[tuple[list[Point], float]]:
    """Yield the points of each cluster, and what share of all is done; a queue that failed is left out."""
    quick = plan.settings["quick"]
    seconds, rounds = (QUICK_LEG, FEWEST_ROUNDS) if quick else (LEG, ROUNDS)
    legs = _Legs(jobs, plan.environment.cores_in_reach, seconds)
    chance = random.Random(plan.settings["seed"])  # noqa: S311 - an order, not a secret
    begun = time.monotonic()
    done = 0
    for number in range(1, ROUNDS + 1):
        if number > rounds:
            break
        for layout in chance.sample(plan.layouts, len(plan.layouts)):
            observer.doing(
                f"round {number} of {rounds}: "
                + (f"{layout.workers} workers with " if layout.workers > 1 else "")
                + f"{layout.each} process{'es' if layout.each > 1 else ''}"
            )
            points: list[Point] = []
            with open_cluster(layout.each, layout.workers) as cluster:
                for name in chance.sample(plan.models, len(plan.models)):
                    if name not in failed:
                        with failed.noted(name):
                            points += legs.measure(MODELS[name], layout, cluster, number)
                for process in _workers(cluster) if cluster is not None else ():
                    process.kill()  # nothing is left to do, and taking their leave takes them two seconds
            if failed.all_of(plan.models):
                return
            done += 1
            yield points, done / (rounds * len(plan.layouts))
        now = time.monotonic()
        rounds = max(FEWEST_ROUNDS, min(rounds, int(BUDGET / ((now - begun) / number))))


@dataclass(frozen=True)
class _Legs:
    """How to measure on a cluster: jobs, each for about `seconds`; how many calls that are is remembered."""

    jobs: Sequence[Job]
    cores: int
    seconds: float
    counts: dict[tuple[str, str, Layout], int] = field(default_factory=dict)

    def measure(self, model: Model, layout: Layout, cluster: Cluster | None, number: int) -> Iterator[Point]:
        """Yield a point of round `number` for each job that the layout is for.

        Raises:
            CannotRunError: a call failed.
        """
        if cluster is None:
            model = replace(model, open=lambda size, _: limited(model.name, size))
        with opened(model, layout.processes, cluster) as executor:
            warm(executor, model, self.jobs[0], layout.processes)
            for job in self.jobs:
                if job.name in COMPUTES and layout.processes > self.cores:
                    continue
                # In each round, since each executor has to learn how long calls are.
                count = fitting(executor, model, job, 2 * layout.processes, self.seconds)
                if job.name in SECONDS:  # equal shares, so that no process waits for another's last call
                    count = layout.processes * round(self.seconds / SECONDS[job.name])
                count = self.counts.setdefault((job.name, model.name, layout), count)
                before = _cpu(cluster)
                rows = traced(executor, model, job, count)
                used = _cpu(cluster) - before
                yield Point(job.name, model.name, layout, number, count, makespan(rows), used)


def _cpu(cluster: Cluster | None) -> Used:
    """Return the CPU seconds that were used so far."""
    import psutil

    times = psutil.cpu_times()
    machine = sum(times) - times.idle - getattr(times, "iowait", 0.0)
    if hasattr(times, "guest"):  # it is part of the user's time already
        machine -= times.guest + times.guest_nice
    if cluster is None:
        return Used(time.process_time(), machine)
    broker, workers = cluster.broker_processes(), _workers(cluster)
    return Used(time.process_time(), machine, _used(broker), _used(workers))


def _workers(cluster: Cluster) -> list[psutil.Process]:
    broker = {process.pid for process in cluster.broker_processes()}
    return [process for process in cluster.processes() if process.pid not in broker]


def _used(processes: Sequence[psutil.Process]) -> float:
    import psutil

    seconds = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds
