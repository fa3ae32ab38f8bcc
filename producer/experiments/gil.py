"""GIL: as much work in pure Python as in C that releases the GIL, on threads and one call after another.

Each call has one in C that takes about as long where nothing competes with it. On threads, only the GIL tells
them apart: how much longer pure Python takes there, beside what C takes, is what the GIL cost. Each is
measured against the sequential model in the same round, so lengths need not be quite equal. Rounds are short,
and as many as fit into a budget.

Any other work can take the place of pure Python: then it shows whether that holds the GIL.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import ClassVar

from producer.experiments.break_even import Observer
from producer.experiments.compare import orders
from producer.experiments.failures import Failures
from producer.experiments.job import InputError, Job
from producer.experiments.kind import KINDS, kind, words
from producer.experiments.length import cut, lengths
from producer.experiments.place import MOST_CALLS, all_seen, open_models, traced
from producer.experiments.work import works
from producer.measurement.environment import environment
from producer.measurement.noise import Ear
from producer.measurement.result import Result
from producer.measurement.summary import SEQUENTIAL, Interval, makespan, ratio
from producer.measurement.trace import Trace
from producer.models import MODELS
from worker.call import clock

#: What is measured unless other models are named; the last for contrast: each of its processes has a GIL.
DEFAULT_MODELS = (SEQUENTIAL, "thread-pool", "process-pool")
#: The two kinds of call; and what takes the place of the first where other work was named.
PYTHON, C, OWN = "cpu", "digest", "own"
#: Calls for each worker, of those whose length can be chosen.
CALLS = 4
#: Seconds that the sequential model takes for a leg, about, and for `--quick`; and those of a call at most.
#: Calls that are as they are may take longer.
LEG, QUICK_LEG, LONGEST = 0.4, 0.2, 0.05
#: Seconds after which no further round is begun, and for `--quick`.
BUDGET, QUICK_BUDGET = 40.0, 12.0
#: Rounds at least and at most.
FEWEST_ROUNDS, MOST_ROUNDS = 3, 20


@dataclass(frozen=True, slots=True)
class Leg:
    """One kind of call on one model in one round.

    Attributes:
        work: the kind: `C`, or what is `Gil.asked`.
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
        call: seconds that a call takes, the median.
        calls: how many each leg had.
        work: what is compared with calls in C: `PYTHON`, or the name of other work.
        legs: what was measured, in the order in which it was.
        problems: which models were left out since a call failed on them, and how.
    """

    experiment: ClassVar[str] = "gil"

    call: float
    calls: int
    work: str = PYTHON
    legs: tuple[Leg, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """The kind of call that is compared with those in C."""
        return PYTHON if self.work == PYTHON else OWN

    def makespans(self, work: str, model: str) -> dict[int, float]:
        """Return the makespan in seconds, by round."""
        return {leg.round: makespan(leg.trace) for leg in self.legs if (leg.work, leg.model) == (work, model)}

    def speedup(self, work: str, model: str) -> Interval | None:
        """Return how many times as fast as sequential a model is; None if they share no round."""
        mine, sequential = self.makespans(work, model), self.makespans(work, SEQUENTIAL)
        rounds = sorted(mine.keys() & sequential.keys())
        return ratio([sequential[n] for n in rounds], [mine[n] for n in rounds]) if rounds else None

    def cost(self, model: str) -> Interval | None:
        """Return how many times as long the GIL makes the work take; None if there is no whole round.

        It is the speedup of calls that release the GIL ÷ that of those asked about, in the same round.
        """
        mine, c = self.makespans(self.asked, model), self.makespans(C, model)
        mine_alone, c_alone = self.makespans(self.asked, SEQUENTIAL), self.makespans(C, SEQUENTIAL)
        rounds = sorted(mine.keys() & c.keys() & mine_alone.keys() & c_alone.keys())
        if not rounds:
            return None
        return ratio(
            [mine[n] / mine_alone[n] for n in rounds],
            [c[n] / c_alone[n] for n in rounds],
        )


def measure_gil(
    work: str | None,
    inputs: str | None,
    models: Sequence[str],
    workers: int,
    *,
    quick: bool,
    seed: int,
    observer: Observer,
) -> Gil:
    """Measure both kinds of call on the models.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Args:
        work: a kind of call, a workload or `module:function`; None for pure Python.
        inputs: a file of JSON lines with the arguments of each call; `-` is standard input.
        models: names of the models; sequential comes first, also where it is not named.
        workers: workers of each pool.
        quick: shorter calls, and a smaller budget.
        seed: for the order of the legs in each round.
        observer: told of everything that happens.

    Raises:
        InputError: no such work or file; work that threads can't run; or a cluster that can't be used.
        CannotRunError: a worker can't run the calls; or some failed here, or on all models but sequential.
    """
    leg, budget = (QUICK_LEG, QUICK_BUDGET) if quick else (LEG, BUDGET)
    names = tuple(dict.fromkeys([SEQUENTIAL, *models]))
    chosen = dict.fromkeys(KINDS, min(LONGEST, leg / (CALLS * workers)))
    failed = Failures()
    with ExitStack() as stack:
        (job,) = works(work, inputs, stack, quick=quick, kinds=chosen, default=(PYTHON,))
        if job.function is None:
            raise InputError(
                f"{job.name} is a coroutine function: the GIL is a matter of threads, and it has one"
            )
        observer.doing("finding out how long calls take")
        # So long that the fewest rounds fit into the budget.
        taken = lengths(job, budget / (FEWEST_ROUNDS * 2 * len(names)))
        mine = replace(job, async_function=None, arguments=job.arguments[: len(taken)])
        result = Gil(
            models=names,
            settings={"workers": workers, "quick": quick, "seed": seed},
            environment=environment(),
            began=clock(),
            call=median(taken),
            calls=_calls(taken, leg, workers),
            work=job.name,
            notes=cut(job, taken),
        )
        try:
            jobs = {result.asked: mine, C: kind(C, stack).job(*taken)}
            executors, unavailable = open_models(names, workers, mine, stack, observer.doing)
            result = replace(result, unavailable=unavailable)
            ear = Ear()
            try:
                with ear.listening():
                    for one, share in _legs(executors, jobs, result.calls, failed, seed, budget, observer):
                        result = replace(result, legs=(*result.legs, one))
                        observer.measured(share)
            finally:
                if all_seen(executors):
                    result = replace(result, noise=ear.heard)
            failed.check([SEQUENTIAL])  # against which all are measured
            failed.check([name for name in executors if name != SEQUENTIAL])
        except KeyboardInterrupt:
            result = replace(result, interrupted=True)
    return replace(
        result,
        legs=tuple(one for one in result.legs if one.model not in failed),
        unavailable={**result.unavailable, **failed.reasons},
        problems=failed.problems,
    )


def _calls(taken: Sequence[float], leg: float, workers: int) -> int:
    """Return how many calls take about `leg` seconds, each worker's share alike; or all once, if longer."""
    fit = len(taken) * leg / sum(taken)
    if fit <= len(taken):
        return max(len(taken), workers)
    return max(workers, min(MOST_CALLS, workers * round(fit / workers)))


def _legs(
    executors: dict[str, Executor],
    jobs: dict[str, Job],
    calls: int,
    failed: Failures,
    seed: int,
    budget: float,
    observer: Observer,
) -> Iterator[tuple[Leg, float]]:
    """Yield what was measured, and which share of the whole is done; a model that failed is left out."""
    begun = time.monotonic()
    places = [(work, name) for name in executors for work in jobs]
    for number, order in enumerate(orders(places, seed), 1):
        for done, (work, name) in enumerate(order, 1):
            if name in failed:
                continue
            observer.doing(f"round {number}: {words(jobs[work].name)}, on {name}")
            with failed.noted(name):
                rows = traced(executors[name], MODELS[name], jobs[work], calls)
                rounds = (number - 1 + done / len(places)) / MOST_ROUNDS
                share = min(1.0, (time.monotonic() - begun) / budget)
                yield Leg(work, name, number, rows), max(rounds, share)
        if SEQUENTIAL in failed or failed.all_of([name for name in executors if name != SEQUENTIAL]):
            return
        spent = time.monotonic() - begun
        if number >= MOST_ROUNDS or (number >= FEWEST_ROUNDS and spent + spent / number > budget):
            return
