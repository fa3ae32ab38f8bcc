"""The engine measures itself: like and like do not differ, and a known time is measured as that."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from statistics import median

import pytest

from producer.experiments.compare import orders
from producer.measurement.environment import environment
from producer.measurement.resources import Resources
from producer.measurement.run import Leg, Run
from producer.measurement.summary import compared, makespan, service_times
from producer.measurement.trace import Trace, trace
from producer.models.sequential import SequentialExecutor
from worker import workloads
from worker.call import Call, Outcome, run

#: Comparisons of a model with itself, and their rounds: few, as in a short run.
COMPARISONS, ROUNDS = 100, 4
TWINS = ("sequential", "sequential again")
#: How exact a time has to be.
EXACT = 0.01


def twins_compared(seed: int) -> bool:
    """Compare the sequential model with itself as `compare` does; tell whether that shows a difference."""
    calls = [Call(workloads.spin, (2_000,))] * 10
    legs = []
    for number, order in enumerate(islice(orders(TWINS, seed), ROUNDS), 1):
        for name in order:
            rows, _ = trace(SequentialExecutor(), run, calls)
            legs.append(Leg(name, number, 1, 0.0, rows, Resources(0.0, 0, 1, 1)))
    of = Run(
        workload="spin",
        calls=tuple(map(str, calls)),
        models=TWINS,
        settings={},
        environment=environment(),
        began=0.0,
        legs=tuple(legs),
    )
    found = compared(of, *TWINS)
    assert found is not None
    return found.excludes(1.0)


def test_a_model_compared_with_itself_shows_no_difference_in_95_of_100() -> None:
    """However noisy this machine is: its moods are in both rounds of a pair, and in both orders.

    A difference is called one at 99 %. So one in 100 shows one, and more than five of 100 do in one of 2,000
    such tests (by the binomial distribution); at 95 % they would in two of five.
    """
    assert sum(twins_compared(seed) for seed in range(COMPARISONS)) <= COMPARISONS - 95


def hold(seconds: float) -> float:
    """Keep a core busy for so long; return how long it was, on a clock of its own that nobody can set."""
    begun = time.perf_counter()
    while (taken := time.perf_counter() - begun) < seconds:
        pass
    return taken


def rest(seconds: float) -> float:
    """Sleep for so long; return how long it was."""
    begun = time.perf_counter()
    time.sleep(seconds)
    return time.perf_counter() - begun


def measured(executor: Executor, calls: list[Call]) -> tuple[Trace, list[float]]:
    """Return the trace of calls, and how long each knows that it took."""
    rows, outcomes = trace(executor, run, calls)
    return rows, [outcome.value for outcome in outcomes if isinstance(outcome, Outcome)]


@pytest.mark.parametrize("seconds", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("opened", [SequentialExecutor, ProcessPoolExecutor])
def test_a_call_of_a_known_length_is_measured_within_1_percent(
    opened: Callable[[], Executor], seconds: float
) -> None:
    """In this process and in another; in most calls, since a busy machine can come between any two lines."""
    with opened() as executor:
        rows, known = measured(executor, [Call(hold, (seconds,))] * 15)
    errors = [abs(found / length - 1) for found, length in zip(service_times(rows), known, strict=True)]
    assert median(errors) <= EXACT
    assert min(known) >= seconds


def test_a_makespan_of_known_calls_is_measured_within_1_percent() -> None:
    """Of calls one after another; the best of some rounds, for the same reason."""
    calls = [Call(hold, (milliseconds / 1000,)) for milliseconds in (5, 10, 20, 40, 10, 5)]
    errors = []
    for _ in range(5):
        rows, known = measured(SequentialExecutor(), calls)
        errors.append(abs(makespan(rows) / sum(known) - 1))
    assert min(errors) <= EXACT


def test_a_makespan_of_calls_at_the_same_time_is_that_of_the_longest_within_1_percent() -> None:
    with ThreadPoolExecutor(4) as pool:
        measured(pool, [Call(rest, (0.01,))] * 4)  # from here on the threads are there
        errors = []
        for _ in range(5):
            rows, known = measured(pool, [Call(rest, (seconds,)) for seconds in (0.05, 0.1, 0.15, 0.2)])
            errors.append(abs(makespan(rows) / max(known) - 1))
    assert min(errors) <= EXACT
