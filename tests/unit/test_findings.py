"""Each sentence of a report is there where the data say it, and absent where they do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from runs_for_tests import ENVIRONMENT, all_at_once, leg, one_after_another, rounds, run_of

from producer.measurement.noise import Noise
from producer.measurement.run import Leg, Problem, Run
from producer.reports.findings import findings

SEQUENTIAL = rounds("sequential", [4.0, 4.1, 3.9])


def text(run: Run) -> str:
    return "\n".join(findings(run))


def compared(*legs: Leg, **changes: Any) -> str:
    """What is said of these legs beside sequential's rounds of about 4 s."""
    return text(run_of(*SEQUENTIAL, *legs, **changes))


def pool(name: str, makespans: list[float]) -> list[Leg]:
    return rounds(name, makespans, at_once=4)


def test_the_fastest_is_named_with_its_speedup_and_interval() -> None:
    assert "process-pool was the fastest: 4.00 times as fast as sequential (99 % confidence: " in compared(
        *pool("process-pool", [1.0, 1.025, 0.975])
    )


def test_a_speedup_within_noise_is_called_that() -> None:
    assert "No model was faster than sequential by more than noise: the best, thread-pool," in compared(
        *pool("thread-pool", [3.9, 4.3, 3.4])
    )


def test_sequential_can_be_the_fastest() -> None:
    found = compared(*pool("thread-pool", [5.0, 5.2, 4.8]))
    assert "Nothing was faster than sequential (4.00 s)." in found
    assert "Its lead" not in found


def test_one_round_has_no_interval_and_says_how_to_get_one() -> None:
    found = text(run_of(*rounds("sequential", [4.0]), *pool("process-pool", [1.0])))
    assert "process-pool was the fastest: 4.00 times as fast as sequential." in found
    assert "One round tells nothing about noise" in found


def test_without_sequential_there_is_a_fastest_and_no_speedup() -> None:
    found = text(run_of(*pool("thread-pool", [2.0, 2.0]), *pool("process-pool", [1.0, 1.0])))
    assert "process-pool was the fastest, with a median makespan of 1.00 s. Sequential did not run" in found


@pytest.mark.parametrize(
    ("runner_up", "sentence"),
    [([2.0, 2.05, 1.95], "is more than noise"), ([1.0, 1.1, 0.99], "is within noise")],
)
def test_a_lead_over_the_runner_up_has_to_earn_its_sentence(runner_up: list[float], sentence: str) -> None:
    found = compared(*pool("process-pool", [1.0, 1.025, 0.975]), *pool("thread-pool", runner_up))
    assert f"Its lead over the runner-up, thread-pool, {sentence}" in found


def test_a_model_with_wrong_results_is_not_ranked() -> None:
    wrong = (Problem("process-pool", "sum(1)", "returned 2"),)
    found = compared(*pool("process-pool", [0.1] * 3), *pool("thread-pool", [1.0, 1.1, 0.9]), problems=wrong)
    assert "process-pool" not in found
    assert "thread-pool was the fastest" in found


def test_where_no_model_is_right_nothing_is_compared() -> None:
    found = findings(run_of(*SEQUENTIAL, problems=(Problem("sequential", "sum(1)", "returned 2"),)))
    assert found == ["No model returned all the right results: there is nothing to compare."]


def test_the_longest_call_bounds_the_speedup() -> None:
    """Of 4 s, 2 are one call: twice as fast is the most there is."""
    services = (2.0, 1.0, 1.0)
    legs = [leg("sequential", one_after_another(*services)), leg("process-pool", all_at_once(*services))]
    found = text(run_of(*legs))
    assert "The longest call, sum(0), is 50 % of the work: no pool of any size can be more than 2.00" in found
    assert "process-pool reached 100 % of that." in found


def test_the_best_is_the_one_with_the_highest_speedup() -> None:
    """Rounds differ: the median makespan alone would name another than the table of speedups does."""
    legs = [
        *rounds("sequential", [4.0, 8.0, 4.0]),
        *rounds("thread-pool", [2.1, 4.4, 2.1]),
        *rounds("process-pool", [2.2, 2.0, 2.2]),
    ]
    assert "process-pool was the fastest" in text(run_of(*legs))


def test_a_runner_up_that_is_surely_faster_is_named_where_the_best_is_not() -> None:
    legs = [
        *rounds("sequential", [4.0, 4.0, 4.0]),
        *rounds("thread-pool", [1.0, 3.0, 1.0]),
        *rounds("process-pool", [2.2, 2.2, 2.3]),
    ]
    found = text(run_of(*legs))
    assert "thread-pool was the fastest" in found
    assert "but not by more than noise" in found
    assert "More than noise: process-pool (99 % confidence: " in found


def test_what_other_programs_took_of_the_cores_is_no_waiting() -> None:
    """A core of which others took nine tenths is busy for the rest, with work that computes."""
    quiet = rounds("sequential", [4.0, 4.1, 3.9], cpu=0.4)
    crowded = [replace(one, noise=Noise(capacity=8.0, others=7.2, stolen=0.0)) for one in quiet]
    others = rounds("thread-pool", [2.0, 2.1, 1.9])
    assert "The work waits" in text(run_of(*quiet, *others))
    assert "The work waits" not in text(run_of(*crowded, *others))


def test_two_rounds_that_differ_give_no_absurd_interval() -> None:
    legs = [*rounds("sequential", [4.0, 4.0]), *rounds("thread-pool", [1.0, 8.0])]
    assert "too few rounds to say how sure that is" in text(run_of(*legs))


def test_nothing_reaches_more_than_all_of_a_bound() -> None:
    """What is measured above it is noise: here the longest call was faster in company than alone."""
    legs = [
        leg("sequential", one_after_another(2.0, 1.0, 1.0)),
        leg("process-pool", all_at_once(1.5, 1.0, 1.0)),
    ]
    assert "process-pool reached 100 % of that." in text(run_of(*legs))


def test_cores_bound_the_speedup_of_work_that_computes() -> None:
    services = [0.1] * 20
    legs = [
        leg("sequential", one_after_another(*services)),
        leg("process-pool", all_at_once(*[0.5] * 20)),
    ]
    found = text(run_of(*legs))
    assert "The work computes: sequential kept a core busy for 100 % of its time." in found
    assert "So 4 cores allow a speedup of at most 4.00. process-pool reached 100 % of that." in found


def test_work_that_waits_is_bounded_by_the_calls_that_wait_at_once() -> None:
    services = [0.1] * 20
    legs = [
        leg("sequential", one_after_another(*services), cpu=0.01),
        leg("event-loop", all_at_once(*[0.1] * 20), at_once=20, cpu=0.01),
    ]
    found = text(run_of(*legs))
    assert "The work waits: sequential kept a core busy for 0 % of its time." in found
    assert "20.0 with all of them, 4.00 with 4 workers. event-loop reached 100 % of its bound." in found


def test_a_pool_is_held_to_the_bound_of_a_pool() -> None:
    services = [0.1] * 20
    legs = [
        leg("sequential", one_after_another(*services), cpu=0.01),
        leg("thread-pool", one_after_another(*[0.025] * 20), at_once=4, cpu=0.01),
    ]
    assert "thread-pool reached 100 % of its bound." in text(run_of(*legs))


def test_calls_that_do_nothing_compare_overhead() -> None:
    """Of each millisecond a call's own part is a microsecond."""
    rows = tuple(
        replace(row, started=row.delivered - 1e-6, finished=row.delivered)
        for row in one_after_another(*[1e-3] * 10)
    )
    legs = [leg("sequential", rows), leg("thread-pool", one_after_another(*[2e-3] * 10))]
    found = text(run_of(*legs))
    assert "So this compares overhead: from " in found
    assert "(sequential) to 2.00 ms (thread-pool)." in found


GIL = "the GIL lets one thread at a time run Python code"
THREADS_GAIN_NOTHING = pool("thread-pool", [4.1, 4.0, 4.2])
PROCESSES_GAIN = pool("process-pool", [1.0, 1.025, 0.975])


def test_the_gil_is_named_where_threads_gained_nothing_and_processes_did() -> None:
    assert GIL in compared(*THREADS_GAIN_NOTHING, *PROCESSES_GAIN)


@pytest.mark.parametrize(
    ("legs", "why"),
    [
        ([*pool("thread-pool", [2.0, 2.05, 1.95]), *PROCESSES_GAIN], "threads gained"),
        ([*THREADS_GAIN_NOTHING, *pool("process-pool", [4.0, 4.3, 3.9])], "processes gained nothing either"),
        (
            [*pool("thread-pool", [9.0, 9.1, 8.9]), *pool("process-pool", [5.0, 5.1, 4.9])],
            "processes are faster than threads, but slower than sequential",
        ),
        (THREADS_GAIN_NOTHING, "there are no processes to compare with"),
    ],
)
def test_the_gil_is_not_named_where(legs: list[Leg], why: str) -> None:
    assert GIL not in compared(*legs), why


@pytest.mark.parametrize(
    ("gil", "why"), [(True, "the calls release the GIL"), (False, "this Python has no GIL")]
)
def test_threads_that_gain_at_work_that_computes_are_explained(gil: bool, why: str) -> None:
    legs = pool("thread-pool", [2.0, 2.05, 1.95])
    found = compared(*legs, environment=replace(ENVIRONMENT, gil=gil))
    assert f"thread-pool was 2.00 times as fast as sequential at work that computes: {why}." in found
    assert "at work that computes" not in compared(*THREADS_GAIN_NOTHING)


def test_the_gil_is_not_named_on_a_python_without_one() -> None:
    run = run_of(*SEQUENTIAL, *THREADS_GAIN_NOTHING, *PROCESSES_GAIN)
    assert GIL not in text(replace(run, environment=replace(ENVIRONMENT, gil=False)))


def test_the_gil_is_not_named_for_work_that_waits() -> None:
    sequential = rounds("sequential", [4.0, 4.1, 3.9], cpu=0.1)
    assert GIL not in text(run_of(*sequential, *THREADS_GAIN_NOTHING, *PROCESSES_GAIN))


def test_the_brokers_overhead_stands_beside_the_best_local_pools() -> None:
    found = compared(
        *pool("thread-pool", [4.2] * 3), *pool("process-pool", [2.4] * 3), *pool("broker-queue", [3.0] * 3)
    )
    assert "Overhead per call: broker-queue 500 ms, against " in found
    assert "on process-pool, the best local pool." in found


def test_an_overhead_below_zero_is_noise_and_makes_no_sentence() -> None:
    found = compared(*pool("process-pool", [0.9] * 3), *pool("broker-queue", [3.0] * 3))
    assert "Overhead per call" not in found


def test_the_way_to_the_broker_is_told_in_round_trips() -> None:
    """So a reader sees what a slow network costs each of the queues."""
    run = run_of(*rounds("sequential", [4.0] * 3), *pool("broker-queue", [3.0] * 3))
    found = text(replace(run, settings={**run.settings, "round_trip": 0.05}))
    assert "A round trip to the broker took 50.0 ms" in found
    assert "10.0 on broker-queue." in found
    assert "round trip" not in text(run)


def test_start_up_is_told_where_it_is_long_enough_to_matter() -> None:
    legs = [
        leg("thread-pool", one_after_another(1.0), startup=0.001),
        leg("process-pool", one_after_another(1.0), startup=0.3),
    ]
    found = text(run_of(*legs, cluster_startup=1.5))
    assert "Start-up, part of no figure above: process-pool 300 ms and the embedded cluster 1.50 s." in found
