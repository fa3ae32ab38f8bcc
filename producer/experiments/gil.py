"""GIL: as much work in pure Python as in C that releases the GIL, on threads and one call after another.

Both kinds of call compute, and a call of the one takes about as long as one of the other where nothing
competes with it. On threads, only the GIL tells them apart: how much longer pure Python takes there, beside
what C takes, is what the GIL cost. Each is measured against the sequential model in the same round, so
lengths need not be quite equal. Rounds are short, and as many as fit into a budget.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import ClassVar

from producer.experiments.break_even import Observer
from producer.experiments.compare import orders
from producer.experiments.job import Job
from producer.experiments.kind import KINDS, kind
from producer.experiments.place import all_seen, open_models, traced
from producer.measurement.environment import environment
from producer.measurement.noise import Ear
from producer.measurement.result import Result
from producer.measurement.summary import SEQUENTIAL, Interval, makespan, ratio
from producer.measurement.trace import Trace
from producer.models import MODELS
from worker.call import clock

#: What is measured unless other models are named; the last for contrast: each of its processes has a GIL.
DEFAULT_MODELS = (SEQUENTIAL, "thread-pool", "process-pool")
#: The two kinds of call.
PYTHON, C = "cpu", "digest"
#: Calls for each worker.
CALLS = 4
#: Seconds that the sequential model takes for a leg, about, and for `--quick`; and those of a call at most.
LEG, QUICK_LEG, LONGEST = 0.4, 0.2, 0.05
#: Seconds after which no further round is begun, and for `--quick`.
BUDGET, QUICK_BUDGET = 40.0, 12.0
#: Rounds at least and at most.
FEWEST_ROUNDS, MOST_ROUNDS = 3, 20


@dataclass(frozen=True, slots=True)
class Leg:
    """One kind of call on one model in one round.

    Attributes:
        work: the kind.
        model: the model.
        round: counted from 1.
        trace: a row for each call.
    """

    work: str
    model: str
    round: int
    trace: Trace


@dataclass(frozen=True, kw_only=True)
class Gil(Result):
    """What gil measured.

    Attributes:
        call: seconds that a call was to take.
        calls: how many each leg had.
        legs: what was measured, in the order in which it was.
    """

    experiment: ClassVar[str] = "gil"

    call: float
    calls: int
    legs: tuple[Leg, ...] = ()

    def makespans(self, work: str, model: str) -> dict[int, float]:
        """Return the makespan in seconds, by round."""
        return {leg.round: makespan(leg.trace) for leg in self.legs if (leg.work, leg.model) == (work, model)}

    def speedup(self, work: str, model: str) -> Interval | None:
        """Return how many times as fast as sequential a model is; None if they share no round."""
        mine, sequential = self.makespans(work, model), self.makespans(work, SEQUENTIAL)
        rounds = sorted(mine.keys() & sequential.keys())
        return ratio([sequential[n] for n in rounds], [mine[n] for n in rounds]) if rounds else None

    def cost(self, model: str) -> Interval | None:
        """Return how many times as long the GIL makes pure Python take; None if there is no whole round.

        It is the speedup of calls that release the GIL ÷ that of calls that hold it, in the same round.
        """
        python, c = self.makespans(PYTHON, model), self.makespans(C, model)
        python_alone, c_alone = self.makespans(PYTHON, SEQUENTIAL), self.makespans(C, SEQUENTIAL)
        rounds = sorted(python.keys() & c.keys() & python_alone.keys() & c_alone.keys())
        if not rounds:
            return None
        return ratio(
            [python[n] / python_alone[n] for n in rounds],
            [c[n] / c_alone[n] for n in rounds],
        )


def measure_gil(models: Sequence[str], workers: int, *, quick: bool, seed: int, observer: Observer) -> Gil:
    """Measure both kinds of call on the models.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Args:
        models: names of the models; sequential comes first, also where it is not named.
        workers: workers of each pool.
        quick: shorter calls, and a smaller budget.
        seed: for the order of the legs in each round.
        observer: told of everything that happens.

    Raises:
        InputError: a cluster is needed and can't be used.
        CannotRunError: a worker can't run the calls.
    """
    calls = CALLS * workers
    seconds = min(LONGEST, (QUICK_LEG if quick else LEG) / calls)
    result = Gil(
        models=tuple(dict.fromkeys([SEQUENTIAL, *models])),
        settings={"workers": workers, "quick": quick, "seed": seed},
        environment=environment(),
        began=clock(),
        call=seconds,
        calls=calls,
    )
    with ExitStack() as stack:
        try:
            observer.doing(f"finding out what takes {seconds:.3g} s")
            jobs = {work: kind(work, stack).job(seconds) for work in (PYTHON, C)}
            executors, unavailable = open_models(result.models, workers, jobs[PYTHON], stack, observer.doing)
            result = replace(result, unavailable=unavailable)
            ear = Ear()
            try:
                with ear.listening():
                    for leg, share in _legs(executors, jobs, calls, seed, observer, quick=quick):
                        result = replace(result, legs=(*result.legs, leg))
                        observer.measured(share)
            finally:
                if all_seen(executors):
                    result = replace(result, noise=ear.heard)
        except KeyboardInterrupt:
            result = replace(result, interrupted=True)
    return result


def _legs(
    executors: dict[str, Executor],
    jobs: dict[str, Job],
    calls: int,
    seed: int,
    observer: Observer,
    *,
    quick: bool,
) -> Iterator[tuple[Leg, float]]:
    """Yield what was measured, and which share of the whole is done."""
    budget = QUICK_BUDGET if quick else BUDGET
    begun = time.monotonic()
    places = [(work, name) for name in executors for work in jobs]
    for number, order in enumerate(orders(places, seed), 1):
        for done, (work, name) in enumerate(order, 1):
            observer.doing(f"round {number}: {KINDS[work]}, on {name}")
            rows = traced(executors[name], MODELS[name], jobs[work], calls)
            rounds = (number - 1 + done / len(places)) / MOST_ROUNDS
            spent = time.monotonic() - begun
            yield Leg(work, name, number, rows), max(rounds, min(1.0, spent / budget))
        if number >= MOST_ROUNDS or (number >= FEWEST_ROUNDS and spent + spent / number > budget):
            return
