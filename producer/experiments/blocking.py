"""Blocking: an event loop has a heartbeat, calls are made from it in every way there is. Does the heart stop?

    heartbeat    due every 10 ms ─▶ how late?
    calls        all made by the loop at the start of a leg, each in the same way:
                   sequential     called on the loop itself: the loop waits for each
                   event-loop     awaited, as coroutines of the same loop
                   all others     handed to the executor with `loop.run_in_executor`, and awaited

A leg without calls, `idle`, tells how late the heart beats on this machine in any case.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, ClassVar, Protocol

from producer.experiments.job import Job, served
from producer.experiments.place import all_seen, open_models
from producer.measurement.environment import environment
from producer.measurement.noise import Ear
from producer.measurement.result import Result
from producer.measurement.trace import one_line
from producer.models import MODELS
from worker import workloads
from worker.call import Call, Outcome, clock, run, run_async

#: Seconds from one beat to the next.
PERIOD = 0.01
#: What a leg without calls is called.
IDLE = "idle"
#: Seconds that a leg takes at least: where all calls are through sooner, they are made again.
LEG, QUICK_LEG = 0.5, 0.25
#: Rounds, and with `--quick`.
ROUNDS, QUICK_ROUNDS = 5, 3
#: Calls of a leg, and with `--quick`; and the seconds that each is to take.
CALLS, QUICK_CALLS, CALL = 16, 8, 0.05
#: What the calls do where the user names no workload.
WAITING, COMPUTING, RELEASING = "waiting", "computing", "computing in C"


@dataclass(frozen=True, slots=True)
class Leg:
    """One kind of work, made in one way, for a while.

    Attributes:
        work: what the calls do.
        way: the model, or `idle`.
        round: from 1.
        calls: how many in all.
        held: seconds for which the loop was held by making a call, the median over the calls.
        makespan: seconds from the first call to the last result, the median where they were made repeatedly;
            of `idle`, how long it was.
        lateness: for each beat that was due meanwhile, in order, by how many microseconds it came late:
            there are thousands of them, and whole numbers take half the space.
        failed: calls that raised.
    """

    work: str
    way: str
    round: int
    calls: int
    held: float
    makespan: float
    lateness: tuple[int, ...]
    failed: int = 0

    @property
    def missed(self) -> int:
        """Beats that came so late that the next one was due by then."""
        return sum(late >= 1e6 * PERIOD for late in self.lateness)

    @property
    def failed_all(self) -> bool:
        """Whether there were calls, and none of them was made."""
        return 0 < self.calls == self.failed


@dataclass(frozen=True, kw_only=True)
class Heartbeats(Result):
    """What `blocking` measured.

    Attributes:
        works: what the calls did, each a kind of work.
        period: seconds from one beat to the next.
        switch_interval: seconds after which a thread that computes is asked for the GIL.
        legs: all that was measured, in order.
        problems: how calls failed.
    """

    experiment: ClassVar[str] = "blocking"

    works: tuple[str, ...]
    period: float
    switch_interval: float
    legs: tuple[Leg, ...] = ()
    problems: tuple[str, ...] = ()

    def of(self, work: str, way: str) -> list[Leg]:
        """Return the legs of one kind of work made in one way."""
        return [leg for leg in self.legs if (leg.work, leg.way) == (work, way)]


class Observer(Protocol):
    """Who wants to know how it goes."""

    def doing(self, what: str) -> None:
        """Something begins that takes time."""

    def measured(self, share: float) -> None:
        """So much of the whole is done."""


def blocking(
    job: Job | None, models: Sequence[str], workers: int, *, quick: bool, seed: int, observer: Observer
) -> Heartbeats:
    """Measure the heartbeat of an event loop while calls are made from it, in each way.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Args:
        job: whose calls are made; None for calls that wait, that compute in Python, and that compute in C.
        models: names of the models.
        workers: workers of each pool.
        quick: fewer rounds, and fewer calls.
        seed: for the order of the ways in each round.
        observer: told of everything that happens.

    Raises:
        InputError: a cluster is needed and can't be used.
        CannotRunError: a worker can't run the job's function.
    """
    works = [job] if job is not None else _kinds(QUICK_CALLS if quick else CALLS)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    result = Heartbeats(
        works=tuple(work.name for work in works),
        period=PERIOD,
        switch_interval=sys.getswitchinterval(),
        models=tuple(models),
        settings={"workers": workers, "quick": quick, "rounds": rounds, "seed": seed},
        environment=environment(),
        began=clock(),
    )
    try:
        with ExitStack() as stack:
            works = [stack.enter_context(served(work)) for work in works]
            executors, unavailable = open_models(models, workers, works[0], stack, observer.doing)
            result = replace(result, unavailable=unavailable)
            least = QUICK_LEG if quick else LEG
            ear = Ear()
            try:
                with ear.listening():
                    for leg, problem, share in _legs(works, executors, rounds, least, seed, observer):
                        told = any(
                            (one.work, one.way) == (leg.work, leg.way) and one.failed for one in result.legs
                        )
                        problems = (*result.problems, *([problem] if problem and not told else []))
                        result = replace(result, legs=(*result.legs, leg), problems=problems)
                        observer.measured(share)
            finally:
                if all_seen(executors):
                    result = replace(result, noise=ear.heard)
    except KeyboardInterrupt:
        result = replace(result, interrupted=True)
    return result


def _legs(
    works: Sequence[Job],
    executors: dict[str, Executor],
    rounds: int,
    least: float,
    seed: int,
    observer: Observer,
) -> Iterator[tuple[Leg, str | None, float]]:
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    ways = [IDLE, *executors] if executors else []
    total, done = rounds * len(works) * len(ways), 0
    for number in range(1, rounds + 1):
        for work in works:
            for way in chance.sample(ways, len(ways)):
                observer.doing(f"round {number} of {rounds}: {work.name}, {way}")
                gc.collect()  # the rubbish of the leg before is not this one's
                leg, problem = asyncio.run(_leg(work, way, executors.get(way), number, least))
                done += 1
                yield leg, problem, done / total


async def _leg(
    work: Job, way: str, executor: Executor | None, number: int, least: float
) -> tuple[Leg, str | None]:
    """Make all calls, await them, and do so again; return the leg, and how calls failed if some did."""
    calls = [] if executor is None else work.calls(asynchronous=MODELS[way].asynchronous)
    held: list[float] = []
    makespans: list[float] = []
    errors: list[BaseException] = []
    heart = _Heart()
    await asyncio.sleep(0)  # it begins to beat
    begun = time.perf_counter()
    while executor is not None and (
        not makespans or (not errors and time.perf_counter() - begun < least)  # what fails is not repeated
    ):
        first = time.perf_counter()
        awaited = []
        for call in calls:
            before = time.perf_counter()
            awaited.append(_made(call, way, executor))
            held.append(time.perf_counter() - before)
        outcomes = await asyncio.gather(*awaited, return_exceptions=True)
        makespans.append(time.perf_counter() - first)
        errors += [error for outcome in outcomes if (error := _error(outcome)) is not None]
    if executor is None:
        await asyncio.sleep(least)
        held, makespans = [0.0], [least]
    lateness = await heart.stop()
    made = len(calls) * len(makespans)
    why = one_line(errors[0]) if errors else ""
    problem = f"{way}, {work.name}: {len(errors)} of {made} calls failed: {why}" if errors else None
    leg = Leg(work.name, way, number, made, median(held), median(makespans), lateness, len(errors))
    return leg, problem


def _made(call: Call, way: str, executor: Executor) -> asyncio.Future[Outcome]:
    """Make a call from the running loop, and return what is to be awaited."""
    if MODELS[way].asynchronous:
        return asyncio.ensure_future(run_async(call))
    loop = asyncio.get_running_loop()
    try:
        # The same as `asyncio.wrap_future(executor.submit(run, call))`: so any executor will do.
        return loop.run_in_executor(executor, run, call)
    except Exception as error:  # a pool that broke: the call failed, like those before it
        failed: asyncio.Future[Outcome] = loop.create_future()
        failed.set_exception(error)
        return failed


def _error(outcome: Outcome | BaseException) -> BaseException | None:
    return outcome.error if isinstance(outcome, Outcome) else outcome


class _Heart:
    """Beats every PERIOD, and notes how late.

    Beat k is due at the beginning + k · PERIOD, whatever became of the beats before it. A loop that stood
    still for a second owes a hundred beats then, each by less; a heart that took its next beat from the last
    one would show a single late one, and hide the stall (Gil Tene's "coordinated omission").
    """

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._end = math.inf
        self._lateness: list[int] = []
        self._task = asyncio.ensure_future(self._beat())

    async def _beat(self) -> None:
        for number in range(1, sys.maxsize):
            due = self._begun + number * PERIOD
            if due > self._end:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._lateness.append(round(1e6 * (time.perf_counter() - due)))

    async def stop(self) -> tuple[int, ...]:
        """Return the lateness of all beats that were due by now, in µs, also of those that are still owed."""
        self._end = time.perf_counter()
        await self._task
        return tuple(
            late for n, late in enumerate(self._lateness, 1) if self._begun + n * PERIOD <= self._end
        )


def _kinds(calls: int) -> list[Job]:
    """Return the three kinds of work, each of calls that take about CALL seconds here."""
    turns = _fitting(lambda size: workloads.spin(size), 10_000)
    iterations = _fitting(lambda size: workloads.digest("password", size), 1_000)
    return [
        Job(WAITING, workloads.sleep, workloads.sleep_async, [((CALL,), {})] * calls),
        Job(COMPUTING, workloads.spin, _spin_async, [((turns,), {})] * calls),
        Job(RELEASING, workloads.digest, _digest_async, [(("password", iterations), {})] * calls),
    ]


def _fitting(work: Callable[[int], Any], size: int) -> int:
    """Return the size with which `work` takes about CALL seconds, from the quickest of a few tries."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        work(size)
        times.append(time.perf_counter() - begun)
    return max(1, round(size * CALL / min(times)))


async def _spin_async(turns: int) -> int:
    """Compute in a coroutine, which has nothing to await."""
    return workloads.spin(turns)


async def _digest_async(password: str, iterations: int) -> str:
    """Compute in C in a coroutine, which has nothing to await."""
    return workloads.digest(password, iterations)
