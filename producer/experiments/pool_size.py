"""Pool size: throughput and p99 over the number of workers, and how many to take.

In each round each pool is opened with each number of workers, in an order that the seed shuffles, warmed up,
and given calls in a closed loop: twice as many are under way as there are workers. So every worker always has
a call to go on with, and a call's sojourn time grows as soon as more workers don't make more throughput.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import ClassVar

from producer.experiments.break_even import Observer
from producer.experiments.compare import broker_url
from producer.experiments.failures import Failures
from producer.experiments.job import InputError, Job
from producer.experiments.place import all_seen, fitting, open_pool, traced, warm
from producer.experiments.work import works
from producer.measurement.environment import environment
from producer.measurement.knee import Knee, default_workers, knee
from producer.measurement.noise import Ear
from producer.measurement.result import Result
from producer.measurement.summary import makespan, sojourn_times
from producer.measurement.trace import Trace
from producer.models import MODELS, Model
from worker.call import clock

#: The pools that are measured unless others are named.
POOLS = ("thread-pool", "process-pool")
#: Calls under way for each worker.
IN_FLIGHT = 2
#: The most workers by default, and for `--quick`; or as many for each core, if that is more.
MOST, QUICK_MOST, MOST_PER_CORE = 32, 16, 2
#: Rounds at least and at most.
FEWEST_ROUNDS, ROUNDS = 3, 10
#: Seconds after which no further round is begun, and for `--quick`.
BUDGET, QUICK_BUDGET = 120.0, 32.0
#: Seconds that one pool should be measured at a time, and for `--quick`.
LEG, QUICK_LEG = 0.3, 0.12
#: Calls in that time at least, for each that is under way: fewer would not show a pool at full work.
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One pool of one size at one kind of work in one round.

    Attributes:
        work: what the calls did: the name of a job.
        model: the pool.
        size: its workers.
        round: counted from 1.
        calls: how many.
        makespan: seconds from the first call's submission to the last one's delivery.
        p50: median of the sojourn times, in seconds: from when there was room for a call to its delivery.
        p99: their 99th percentile.
    """

    work: str
    model: str
    size: int
    round: int
    calls: int
    makespan: float
    p50: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class PoolSizes(Result):
    """What pool-size measured.

    Attributes:
        works: the kinds of work, by name.
        sizes: numbers of workers, ascending.
        defaults: what the standard library takes on this machine, for each pool of its own.
        points: every run that counts.
        problems: which pools were left out since a call failed on them, and how.
    """

    experiment: ClassVar[str] = "pool-size"

    works: tuple[str, ...]
    sizes: tuple[int, ...]
    defaults: dict[str, int]
    points: tuple[Point, ...] = ()
    problems: tuple[str, ...] = ()

    def at(self, work: str, model: str, size: int) -> list[Point]:
        """Return the points of one pool, by round."""
        found = [p for p in self.points if (p.work, p.model, p.size) == (work, model, size)]
        return sorted(found, key=lambda point: point.round)

    def throughput(self, work: str, model: str, size: int) -> float | None:
        """Return calls a second, the geometric mean over the rounds as in `knee`; None if there is none."""
        return _mean([point.calls / point.makespan for point in self.at(work, model, size)])

    def p99(self, work: str, model: str, size: int) -> float | None:
        """Return the p99 of the sojourn time in seconds, likewise."""
        return _mean([point.p99 for point in self.at(work, model, size)])

    def knee(self, work: str, model: str) -> Knee | None:
        """Return the size to recommend; None before the end of the first round."""
        points = {size: {p.round: p for p in self.at(work, model, size)} for size in self.sizes}
        rounds = sorted(set.intersection(*(set(of) for of in points.values())))
        if not rounds:
            return None
        rates = [[points[size][n].calls / points[size][n].makespan for size in self.sizes] for n in rounds]
        return knee(self.sizes, rates, [[points[size][n].p99 for size in self.sizes] for n in rounds])


def _mean(values: Sequence[float]) -> float | None:
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None


def pool_size(
    work: str | None,
    inputs: str | None,
    models: Sequence[str],
    sizes: Sequence[int] | None,
    *,
    quick: bool,
    seed: int,
    observer: Observer,
) -> PoolSizes:
    """Measure pools over the number of their workers.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Args:
        work: a kind of call, a workload or `module:function`; None for all kinds of call.
        inputs: a file of JSON lines with the arguments of each call; `-` is standard input.
        models: the pools.
        sizes: numbers of workers; None for 1, 2, 4, ... and the standard library's own.
        quick: fewer workers, smaller inputs, and shorter runs.
        seed: for the order of the pools.
        observer: told of everything that happens.

    Raises:
        InputError: no such work or file; a model without workers; or a cluster that can't be used.
        CannotRunError: a worker can't run the work, or calls of it failed on every pool.
    """
    for name in models:
        if MODELS[name].width != "workers":
            pools = ", ".join(model.name for model in MODELS.values() if model.width == "workers")
            raise InputError(f"{name} has no number of workers that could vary: take some of {pools}")
    failed = Failures()
    with ExitStack() as stack:
        jobs = works(work, inputs, stack, quick=quick)
        where = environment()
        defaults = {name: size for name in models if (size := default_workers(name)) is not None}
        chosen = sorted(set(sizes)) if sizes else _sizes(where.cores_in_reach, defaults, quick=quick)
        unavailable = {
            name: why
            for name in models
            for some in jobs
            if (why := MODELS[name].unavailable(some.function, some.async_function)) is not None
        }
        left = [MODELS[name] for name in models if name not in unavailable]
        if not left:
            raise InputError(f"no pool can run {jobs[0].name} here: {next(iter(unavailable.values()))}")
        result = PoolSizes(
            works=tuple(some.name for some in jobs),
            sizes=tuple(chosen),
            defaults=defaults,
            models=tuple(models),
            settings={"workers": chosen[-1], "quick": quick, "seed": seed},
            environment=where,
            began=clock(),
            unavailable=unavailable,
            notes=_notes(models),
        )
        leg, budget = (QUICK_LEG, QUICK_BUDGET) if quick else (LEG, BUDGET)
        legs, known = _Legs(jobs, leg), all_seen(model.name for model in left)
        try:
            for points, share in _rounds(legs, left, chosen, failed, seed, observer, budget):
                result = replace(
                    result, points=(*result.points, *points), noise=legs.ear.heard if known else None
                )
                observer.measured(share)
            failed.check([model.name for model in left])
        except KeyboardInterrupt:
            result = replace(result, interrupted=True)
    return replace(
        result,
        points=tuple(point for point in result.points if point.model not in failed),
        unavailable={**result.unavailable, **failed.reasons},
        problems=failed.problems,
    )


def _sizes(cores: int, defaults: dict[str, int], *, quick: bool) -> list[int]:
    most = max(QUICK_MOST if quick else MOST, MOST_PER_CORE * cores)
    powers = {2**power for power in range(most.bit_length())}
    return sorted(size for size in powers | set(defaults.values()) if size <= most)


def _notes(models: Sequence[str]) -> tuple[str, ...]:
    if broker_url() is None or not any(MODELS[name].on_cluster for name in models):
        return ()
    return (
        "The broker queue ran on the cluster that CELERY_BROKER_URL names, whose workers are what they are: "
        "a size is the number of messages that are under way at a time.",
    )


def _rounds(
    legs: _Legs,
    models: Sequence[Model],
    sizes: Sequence[int],
    failed: Failures,
    seed: int,
    observer: Observer,
    budget: float,
) -> Iterator[tuple[list[Point], float]]:
    """Yield the points of each pool, and what share of all is done; one that failed is not opened again."""
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    pools = [(model, size) for model in models for size in sizes]
    begun = time.monotonic()
    rounds, done = ROUNDS, 0
    for number in range(1, ROUNDS + 1):
        if number > rounds:
            break
        for model, size in chance.sample(pools, len(pools)):
            done += 1
            if model.name in failed:
                continue
            observer.doing(f"round {number} of {rounds}: {model.name} with {size}")
            with failed.noted(model.name):
                yield legs.measure(model, size, number), done / (rounds * len(pools))
        if failed.all_of([model.name for model in models]):
            return
        now = time.monotonic()
        fit = int(budget / ((now - begun) / number))
        rounds = max(FEWEST_ROUNDS, min(ROUNDS, fit))


@dataclass(frozen=True)
class _Legs:
    """How to measure a pool: jobs, each for about `seconds`; how many calls that are is remembered."""

    jobs: Sequence[Job]
    seconds: float
    ear: Ear = field(default_factory=Ear)
    counts: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def measure(self, model: Model, size: int, number: int) -> list[Point]:
        """Open a pool, and return its point of round `number` for each job.

        Raises:
            CannotRunError: a call failed.
        """
        points, in_flight = [], IN_FLIGHT * size
        with open_pool(model, size) as executor, ExitStack() as stack:
            warm(executor, model, self.jobs[0], size)
            stack.enter_context(self.ear.listening())
            for job in self.jobs:
                key = (job.name, model.name, size)
                if key not in self.counts:
                    self.counts[key] = fitting(
                        executor, model, job, _FEWEST * in_flight, self.seconds, in_flight=in_flight
                    )
                rows = traced(executor, model, job, self.counts[key], in_flight=in_flight)
                points.append(_point(job, model, size, number, rows))
        return points


def _point(job: Job, model: Model, size: int, number: int, rows: Trace) -> Point:
    import numpy as np

    p50, p99 = (float(value) for value in np.percentile(sojourn_times(rows), [50, 99]))
    return Point(job.name, model.name, size, number, len(rows), makespan(rows), p50, p99)
