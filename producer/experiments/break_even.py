"""Break-even: the throughput of each model over the size of a call, and where the winner changes.

The size of a call is what it takes, as measured here before all else, whatever it was asked to take. Every
model is open from the beginning to the end. In each round, at each size, each model runs as many calls as fit
into a fraction of a second; how many, a first run tells that is not counted. They are at least as many as the
model has workers. A model that has all calls in progress at once is given more as long as more cost it no
time.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import ClassVar, Protocol

from producer.experiments.failures import Failures
from producer.experiments.job import InputError, Job
from producer.experiments.kind import kind, sized
from producer.experiments.length import cut, grouped, lengths
from producer.experiments.place import all_seen, open_models, traced
from producer.experiments.work import works
from producer.measurement.environment import environment
from producer.measurement.lead import Lead, leads
from producer.measurement.noise import Ear
from producer.measurement.result import Result
from producer.measurement.summary import Interval, makespan, ratio
from producer.models import MODELS, Model
from worker.call import clock

#: Sizes of a call, in seconds: half a decade apart, and for `--quick` a decade.
SIZES = tuple(10 ** (power / 2) for power in range(-12, 1))
QUICK_SIZES = tuple(10.0**power for power in range(-5, 0))
#: A call that takes what was asked for, but for this share, is of the size that was asked for.
NEAR = 0.05
#: Seconds after which no further input is looked at, and for `--quick`.
LOOK, QUICK_LOOK = 20.0, 4.0
#: Rounds at least, and at most. Many short ones beat few long ones: what else a machine does differs from one
#: to the next.
FEWEST_ROUNDS, ROUNDS = 3, 8
#: Seconds after which no further round is begun, opening the models included; and for `--quick`.
BUDGET, QUICK_BUDGET = 210.0, 42.0
#: Seconds that a model's run at one size should take, and for `--quick`.
LEG, QUICK_LEG = 0.25, 0.08
#: Calls in a run at most; and of a model that has all in progress at once, while they wait.
MOST_CALLS, MOST_AT_ONCE = 5_000, 256
#: Twice the calls cost a model no time if they take it less than so many times as long.
_FREE = 1.5


@dataclass(frozen=True, slots=True)
class Point:
    """One run of one model at one size: so many calls took so many seconds in all."""

    model: str
    size: float
    round: int
    calls: int
    makespan: float


@dataclass(frozen=True, kw_only=True)
class Sweep(Result):
    """What break-even measured.

    Attributes:
        kind: what the calls do: one of `kind.KINDS`, a workload, or `module:function`.
        sizes: seconds that a call takes, ascending.
        asked: seconds that it was asked to take; empty: the sizes themselves, or there are `calls`.
        calls: the calls of each size as source text, where they are given; otherwise empty.
        points: every run that counts.
        problems: which models were left out since a call failed on them, and how.
    """

    experiment: ClassVar[str] = "break-even"

    kind: str
    sizes: tuple[float, ...]
    asked: tuple[float, ...] = ()
    calls: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def named(self) -> dict[float | str, float]:
        """The sizes, each by what it is called in every sweep of the same calls."""
        return dict(zip(self.calls or self.asked or self.sizes, self.sizes, strict=True))

    def rates(self, model: str, size: float) -> dict[int, float]:
        """Return calls a second, by round."""
        return {p.round: p.calls / p.makespan for p in self.points if (p.model, p.size) == (model, size)}

    def rate(self, model: str, size: float) -> float | None:
        """Return the median of the calls a second; None if there is none."""
        rates = self.rates(model, size)
        return median(rates.values()) if rates else None

    def ratio(self, model: str, other: str, size: float) -> Interval | None:
        """Return how many times as fast as `other` a model is at a size; None if they share no round."""
        mine, its = self.rates(model, size), self.rates(other, size)
        both = sorted(mine.keys() & its.keys())
        return ratio([mine[n] for n in both], [its[n] for n in both]) if both else None

    def leads(self, model: str, other: str) -> tuple[Lead, ...]:
        """Return over which ranges of sizes `model` is faster than `other`."""
        found = [(size, of) for size in self.sizes if (of := self.ratio(model, other, size)) is not None]
        return leads([size for size, _ in found], [of for _, of in found]) if found else ()


class Observer(Protocol):
    """Who wants to know how it goes."""

    def doing(self, what: str) -> None:
        """Something begins that takes time."""

    def measured(self, share: float) -> None:
        """So much of the whole is done."""


def break_even(
    name: str,
    inputs: str | None,
    models: Sequence[str],
    workers: int,
    *,
    quick: bool,
    seed: int,
    observer: Observer,
) -> Sweep:
    """Measure the models over the sizes of a call.

    Ctrl-C ends it early, with what there is so far: the sweep then is `interrupted`.

    Args:
        name: the kind of call, as `kind.kind` takes it; or a workload.
        inputs: a file of JSON lines with the arguments of each call; `-` is standard input.
        models: names of the models.
        workers: workers of each pool.
        quick: fewer sizes, and shorter runs.
        seed: for the order of the models.
        observer: told of everything that happens.

    Raises:
        InputError: no such work or file; no model that can run it; or a cluster that can't be used.
        CannotRunError: a worker can't run the function, or calls of it failed here, or on every model.
    """
    leg, budget = (QUICK_LEG, QUICK_BUDGET) if quick else (LEG, BUDGET)
    end = time.monotonic() + budget
    failed = Failures()
    with ExitStack() as stack:
        if inputs is None and sized(name):
            plan = _asked(name, stack, observer, quick=quick)
        else:
            plan = _given(name, inputs, stack, observer, quick=quick)
        sweep = Sweep(
            kind=name,
            sizes=tuple(plan.jobs),
            asked=plan.asked,
            calls=plan.calls,
            models=tuple(models),
            settings={"workers": workers, "quick": quick, "seed": seed},
            environment=environment(),
            began=clock(),
            notes=plan.notes,
        )
        try:
            some = next(iter(plan.jobs.values()))
            executors, unavailable = open_models(models, workers, some, stack, observer.doing)
            if not executors:
                raise InputError(f"no model can run {name} here: {next(iter(unavailable.values()))}")
            sweep = replace(sweep, unavailable=unavailable)
            legs = [
                _Leg(MODELS[model], executor, plan.jobs, workers, leg)
                for model, executor in executors.items()
            ]
            ear = Ear()
            try:
                with ear.listening():
                    for point, share in _points(legs, failed, sweep.sizes, seed, end, observer):
                        sweep = replace(sweep, points=(*sweep.points, point))
                        observer.measured(share)
            finally:
                if all_seen(executors):
                    sweep = replace(sweep, noise=ear.heard)
            failed.check(executors)
        except KeyboardInterrupt:
            sweep = replace(sweep, interrupted=True)
    return replace(
        sweep,
        points=tuple(point for point in sweep.points if point.model not in failed),
        unavailable={**sweep.unavailable, **failed.reasons},
        problems=failed.problems,
    )


#: Said when that begins.
_LOOKING = "finding out how long calls take"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is measured: the calls of each size in seconds, and what the sweep has to tell of them."""

    jobs: dict[float, Job]
    asked: tuple[float, ...] = ()
    calls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _asked(name: str, stack: ExitStack, observer: Observer, *, quick: bool) -> _Plan:
    """Plan calls that are asked to take so long."""
    wanted = QUICK_SIZES if quick else SIZES
    job = kind(name, stack).job(*wanted)
    observer.doing(_LOOKING)
    found = grouped(job, lengths(job), len(wanted))
    asked = [wanted[size.places[0]] for size in found]
    taken = [
        it if abs(size.seconds / it - 1) <= NEAR else size.seconds
        for it, size in zip(asked, found, strict=True)
    ]
    return _Plan(dict(zip(taken, (size.job for size in found), strict=True)), tuple(asked))


def _given(name: str, inputs: str | None, stack: ExitStack, observer: Observer, *, quick: bool) -> _Plan:
    """Plan calls whose arguments are given, or come with a workload."""
    (job,) = works(name, inputs, stack, quick=quick, kinds={})
    observer.doing(_LOOKING)
    taken = lengths(job, QUICK_LOOK if quick else LOOK)
    found = grouped(job, taken, len(QUICK_SIZES if quick else SIZES))
    return _Plan(
        {size.seconds: size.job for size in found},
        calls=tuple(_label(size.job) for size in found),
        notes=cut(job, taken),
    )


def _label(job: Job) -> str:
    first, *others = job.labels()
    return f"{first} and {len(others):,} more" if others else first


def _points(
    legs: Sequence[_Leg],
    failed: Failures,
    sizes: Sequence[float],
    seed: int,
    end: float,
    observer: Observer,
) -> Iterator[tuple[Point, float]]:
    """Measure rounds as the time until `end` allows; yield each point, and what share of all is done.

    A model on which a call fails is noted in `failed`, and not run again.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    counts: dict[tuple[str, float], int] = {}
    for leg in legs:
        with failed.noted(leg.model.name):
            for size in sizes:
                observer.doing(
                    f"finding out how many calls fit: {leg.model.name}, calls of {1000 * size:.3g} ms"
                )
                counts[leg.model.name, size] = leg.fitting(size)
    begun = time.monotonic()
    rounds, done = ROUNDS, 0
    for number in range(1, ROUNDS + 1):
        if number > rounds:
            break
        for size in sizes:
            observer.doing(f"round {number} of {rounds}: calls of {1000 * size:.3g} ms")
            for leg in chance.sample(legs, len(legs)):
                done += 1
                if leg.model.name in failed:
                    continue
                count = counts[leg.model.name, size]
                with failed.noted(leg.model.name):
                    point = Point(leg.model.name, size, number, count, leg.measure(size, count))
                    yield point, done / (rounds * len(sizes) * len(legs))
        if failed.all_of([leg.model.name for leg in legs]):
            return
        now = time.monotonic()
        fit = int((end - begun) / ((now - begun) / number))
        rounds = max(FEWEST_ROUNDS, min(ROUNDS, fit))


@dataclass(frozen=True, slots=True)
class _Leg:
    """How to measure a model: calls of some sizes on its executor, for about `seconds` at a time."""

    model: Model
    executor: Executor
    jobs: dict[float, Job]
    workers: int
    seconds: float

    def measure(self, size: float, count: int) -> float:
        """Return the makespan of so many calls of a size.

        Raises:
            CannotRunError: a call failed.
        """
        return makespan(traced(self.executor, self.model, self.jobs[size], count))

    def fitting(self, size: float) -> int:
        """Return how many calls fit; more and more are tried, as batches need company."""
        if self.model.width == "all":
            return self._free(size)
        fewest = 1 if self.model.width == "one" else self.workers
        count = fewest
        while (taken := self.measure(size, count)) < self.seconds / 3 and count < MOST_CALLS:
            count = min(MOST_CALLS, 4 * count)
        fit = min(MOST_CALLS, int(count * self.seconds / max(taken, 1e-9)))
        return max(fewest, fit - fit % fewest)  # equal shares, or workers wait for the last call

    def _free(self, size: float) -> int:
        """Like `fitting`, where all calls are in progress at once: while they wait, more cost no time."""
        count, before = self.workers, math.inf
        while (taken := self.measure(size, count)) < self.seconds / 3 or taken < _FREE * before:
            most = MOST_CALLS if taken < self.seconds / 3 else MOST_AT_ONCE
            if count >= most:
                return count
            count, before = min(most, 2 * count), taken
        return count // 2 if taken > self.seconds else count
