"""Break-even: the throughput of each model over the size of a call, and where the winner changes.

Every model is open from the beginning to the end. In each round, at each size, each model runs as many calls
as fit into a fraction of a second; how many, a first run tells that is not counted.
"""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from producer.experiments.compare import CannotRunError, warm_up
from producer.experiments.job import InputError, Job, load_function, nearest
from producer.experiments.place import open_executor
from producer.measurement.crossing import Crossing, crossing
from producer.measurement.environment import Environment, environment
from producer.measurement.summary import ratio
from producer.measurement.trace import trace
from producer.models import MODELS, Model
from worker import workloads
from worker.call import Call, clock, run, run_async

#: Sizes of a call, in seconds: half a decade apart, and for `--quick` a decade.
SIZES = tuple(10 ** (power / 2) for power in range(-12, 1))
QUICK_SIZES = tuple(10.0**power for power in range(-5, 0))
#: Rounds; three are the fewest that give a useful interval.
ROUNDS = 3
#: Seconds that a model's run at one size should take, and for `--quick`.
LEG, QUICK_LEG = 0.4, 0.15
#: Calls in a run.
FEWEST_CALLS, MOST_CALLS = 4, 5_000
#: What calls may do.
KINDS = {"cpu": "pure-Python computing", "io": "waiting"}


@dataclass(frozen=True, slots=True)
class Point:
    """One run of one model at one size: so many calls took so many seconds in all."""

    model: str
    size: float
    round: int
    calls: int
    makespan: float


@dataclass(frozen=True)
class Sweep:
    """What break-even measured.

    Attributes:
        kind: what the calls do: `cpu`, `io`, or `module:function`.
        sizes: seconds of a call, ascending.
        models: those that were measured, in the order of the table.
        workers: workers of each pool.
        environment: where it ran.
        began: when, in seconds since the epoch.
        points: every run that counts.
        unavailable: why a model did not run.
        interrupted: whether it was stopped before its end.
    """

    kind: str
    sizes: tuple[float, ...]
    models: tuple[str, ...]
    workers: int
    environment: Environment
    began: float
    points: tuple[Point, ...] = ()
    unavailable: dict[str, str] = dataclasses.field(default_factory=dict)
    interrupted: bool = False

    def rates(self, model: str, size: float) -> dict[int, float]:
        """Return calls a second, by round."""
        return {p.round: p.calls / p.makespan for p in self.points if (p.model, p.size) == (model, size)}

    def rate(self, model: str, size: float) -> float | None:
        """Return the median of the calls a second; None if there is none."""
        rates = self.rates(model, size)
        return median(rates.values()) if rates else None

    def break_even(self, model: str, other: str) -> Crossing | None:
        """Return from which size on `model` is faster than `other`; None if they share no size."""
        sizes, ratios = [], []
        for size in self.sizes:
            mine, its = self.rates(model, size), self.rates(other, size)
            both = sorted(mine.keys() & its.keys())
            if both:
                sizes.append(size)
                ratios.append(ratio([mine[n] for n in both], [its[n] for n in both]))
        return crossing(sizes, ratios) if sizes else None


class Observer(Protocol):
    """Who wants to know how it goes."""

    def doing(self, what: str) -> None:
        """Something begins that takes time."""

    def measured(self, share: float) -> None:
        """So much of the whole is done."""


def break_even(
    kind: str, models: Sequence[str], workers: int, *, quick: bool, seed: int, observer: Observer
) -> Sweep:
    """Measure the models over the sizes of a call.

    Ctrl-C ends it early, with what there is so far: the sweep then is `interrupted`.

    Args:
        kind: `cpu`, `io`, or `module:function`, which is called with its size in seconds.
        models: names of the models.
        workers: workers of each pool.
        quick: fewer sizes, and shorter runs.
        seed: for the order of the models.
        observer: told of everything that happens.

    Raises:
        InputError: no such kind or function; or a cluster that can't be used.
    """
    plain, coroutine, argument = _functions(kind)
    sizes, leg = (QUICK_SIZES, QUICK_LEG) if quick else (SIZES, LEG)
    sweep = Sweep(kind, sizes, tuple(models), workers, environment(), clock())
    with ExitStack() as stack:
        try:
            executors: dict[str, Executor] = {}
            for name in models:
                model = MODELS[name]
                why = model.unavailable(plain, coroutine)
                if why is None:
                    observer.doing(f"opening {name}")
                    executors[name] = stack.enter_context(open_executor(model, workers))
                    job = Job(kind, plain, coroutine, [((argument(sizes[0]),), {})])
                    try:
                        warm_up(executors[name], model, job, workers)
                    except Exception as error:
                        raise CannotRunError(str(error)) from error
                else:
                    sweep = replace(sweep, unavailable={**sweep.unavailable, name: why})
            for point, share in _points(executors, sizes, leg, plain, coroutine, argument, seed, observer):
                sweep = replace(sweep, points=(*sweep.points, point))
                observer.measured(share)
        except KeyboardInterrupt:
            sweep = replace(sweep, interrupted=True)
    return sweep


def _points(
    executors: dict[str, Executor],
    sizes: Sequence[float],
    leg: float,
    plain: Any,
    coroutine: Any,
    argument: Callable[[float], Any],
    seed: int,
    observer: Observer,
) -> Any:
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    counts: dict[tuple[str, float], int] = {}
    total, done = (ROUNDS + 1) * len(sizes) * len(executors), 0
    for number in range(ROUNDS + 1):  # round 0 finds out how many calls fit
        for size in sizes:
            what = f"round {number} of {ROUNDS}" if number else "finding out how many calls fit"
            observer.doing(f"{what}: calls of {size:g} s")
            for name in chance.sample(list(executors), len(executors)):
                model = MODELS[name]
                call = Call(coroutine if model.asynchronous else plain, (argument(size),))

                def measure(count: int, name: str = name, model: Model = model, call: Call = call) -> float:
                    begun = time.perf_counter()
                    trace(executors[name], run_async if model.asynchronous else run, [call] * count)
                    return time.perf_counter() - begun

                done += 1
                if number:
                    count = counts[name, size]
                    yield Point(name, size, number, count, measure(count)), done / total
                else:
                    counts[name, size] = _fitting(measure, leg)


def _fitting(measure: Callable[[int], float], leg: float) -> int:
    """Return how many calls take about `leg` seconds; more and more are tried, as batches need company."""
    count = FEWEST_CALLS
    while (taken := measure(count)) < leg / 3 and count < MOST_CALLS:
        count = min(MOST_CALLS, 4 * count)
    return max(FEWEST_CALLS, min(MOST_CALLS, int(count * leg / taken)))


def _functions(kind: str) -> tuple[Any, Any, Callable[[float], Any]]:
    """Return the plain function, the coroutine function, and what makes a size their argument."""
    if kind == "io":
        return workloads.sleep, workloads.sleep_async, float
    if kind == "cpu":
        turns = _turns_a_second()
        return workloads.spin, None, lambda size: max(1, round(turns * size))
    if ":" in kind:
        import inspect

        function = load_function(kind)
        return (None, function, float) if inspect.iscoroutinefunction(function) else (function, None, float)
    hint = nearest(kind, KINDS) or f"there are {', '.join(KINDS)}, and module:function"
    raise InputError(f"there is no kind of call {kind!r}: {hint}")


def _turns_a_second() -> float:
    """Measure how many turns of `spin` fit into a second here."""
    turns = 100_000
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        workloads.spin(turns)
        times.append(time.perf_counter() - begun)
    return turns / median(times)


def save(sweep: Sweep, path: Path) -> None:
    """Write a sweep to `path` as JSON.

    Raises:
        OSError: the file can't be written.
    """
    path.write_text(json.dumps({"experiment": "break-even", **dataclasses.asdict(sweep)}) + "\n")
