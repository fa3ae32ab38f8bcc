"""The statistics, against figures worked out by hand and against properties that hold for any figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from runs_for_tests import ENVIRONMENT, MEGABYTE, all_at_once, leg, one_after_another, rounds, run_of

from producer.measurement.summary import (
    Interval,
    compared,
    complete,
    cores,
    ideal,
    makespan,
    middle,
    outliers,
    overhead,
    pairs,
    ratio,
    service_times,
    sojourn_times,
    summarize,
)
from producer.measurement.trace import Row

TIMES = st.floats(min_value=1e-6, max_value=1e4)
PAIRS = st.lists(st.tuples(TIMES, TIMES), min_size=2, max_size=20)


def test_the_makespan_is_from_the_first_submission_to_the_last_delivery() -> None:
    rows = (Row(0, 1.0, 2.0, 3.0, 9.0), Row(1, 0.5, 2.0, 3.0, 4.0))
    assert makespan(rows) == 8.5


def test_service_times_are_of_the_calls_that_ran() -> None:
    rows = (Row(0, 0.0, 2.0, 3.5, 9.0), Row(1, 0.0, None, None, 4.0))
    assert service_times(rows) == [1.5]


def test_sojourn_times_are_from_submission_to_delivery() -> None:
    assert sojourn_times((Row(0, 1.0, 2.0, 3.5, 9.0), Row(1, 0.0, None, None, 4.0))) == [8.0, 4.0]


def test_a_ratio_is_the_geometric_mean_of_its_pairs() -> None:
    """1/2 and 2 cancel out; their arithmetic mean would be 1.25, whichever way one divides."""
    assert ratio([1.0, 2.0], [2.0, 1.0]).value == pytest.approx(1.0)


def test_a_ratio_has_the_interval_of_student() -> None:
    """Worked out by hand: logs 0, 1, 2; mean 1, deviation 1, t(0.975, 2) = 4.302653."""
    found = ratio([1.0, math.e, math.e**2], [1.0, 1.0, 1.0])
    half = 4.302652729911275 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((math.exp(1 - half), math.exp(1 + half)))


def test_a_difference_has_to_be_outside_the_99_percent_interval() -> None:
    """Worked out by hand: logs 0.15, 0.2, 0.25; mean 0.2, deviation 0.05.

    0.2 ± t(0.975, 2) = 4.303 times 0.05 / √3 excludes 0; 0.2 ± t(0.995, 2) = 9.925 times that does not.
    """
    found = ratio([math.exp(log) for log in (0.15, 0.2, 0.25)], [1.0] * 3)
    assert found.low > 1.0
    assert found.sure == pytest.approx((math.exp(0.2 - 0.286506), math.exp(0.2 + 0.286506)), rel=1e-4)
    assert not found.excludes(1.0)
    assert found.excludes(2.0)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("drawn", ["normal", "laplace", "standard_cauchy"])
def test_like_and_like_differ_in_one_of_a_hundred_comparisons(count: int, drawn: str) -> None:
    """Rounds with noise of any kind, also with stalls: 3,000 comparisons, at most 1.5 % show a difference.

    At a true rate of 1 %, that bound is missed in less than one of 200 sets of draws; these draws are fixed.
    """
    chance = np.random.default_rng(count)
    noise = getattr(chance, drawn)
    logs = noise(size=(3_000, 2, count)).clip(-20, 20) * 0.05
    wrong = sum(ratio(list(np.exp(one)), list(np.exp(other))).excludes(1.0) for one, other in logs)
    assert wrong <= 45


@pytest.mark.parametrize("count", [3, 10])
def test_a_ratios_interval_holds_the_true_value_in_95_of_100_cases(count: int) -> None:
    chance = np.random.default_rng(count)
    held = 0
    for logs in chance.normal(0.5, 0.1, size=(3_000, count)):
        found = ratio(list(np.exp(logs)), [1.0] * count)
        held += found.low <= math.exp(0.5) <= found.high
    assert 0.94 <= held / 3_000 <= 0.96


@pytest.mark.parametrize("count", [6, 7, 10, 20])
@pytest.mark.parametrize("sigma", [0.02, 0.5])
def test_a_medians_interval_holds_the_true_median_in_95_of_100_cases(count: int, sigma: float) -> None:
    """Skewed figures, as times are, and few: plain bootstrap percentiles of 7 hold it in 86 of 100."""
    chance = np.random.default_rng(count)
    held = 0
    for values in chance.lognormal(0.0, sigma, size=(600, count)):
        found = middle(list(values))
        held += found.low <= 1.0 <= found.high
    assert held / 600 >= 0.94


def test_too_few_rounds_give_a_median_but_no_bounds() -> None:
    found = middle([3.0, 1.0, 2.0, 5.0, 4.0])
    assert found.value == 3.0
    assert not found.known


@given(st.lists(TIMES, min_size=6, max_size=20))
def test_a_median_lies_within_its_interval_and_that_within_the_rounds(values: list[float]) -> None:
    found = middle(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)
    assert middle(values) == found


@pytest.mark.parametrize(
    ("values", "indices"),
    [
        ([1.0, 1.1, 0.9, 1.05, 0.95, 2.0], [5]),
        ([1.0, 1.1, 0.9, 1.05, 0.95, 0.1], [5]),
        ([1.0, 1.1, 0.9, 1.05, 0.95, 1.2], []),
        ([1.0, 1.0, 9.0, 1.0, 1.0], [2]),
        ([1.0, 1.0, 1.0, 1.0, 1.0], []),
        ([1.0, 1.01, 1.02, 9.0], []),  # too few to tell
    ],
)
def test_an_outlier_is_far_from_all_others(values: list[float], indices: list[int]) -> None:
    assert outliers(values) == indices


@given(st.lists(TIMES, max_size=20))
def test_fewer_than_half_of_the_rounds_are_outliers(values: list[float]) -> None:
    assert len(outliers(values)) <= len(values) / 2


def test_outliers_are_named_and_count_like_all_others() -> None:
    makespans = [1.0, 1.1, 0.9, 1.05, 0.95, 9.0]
    summary = summarize(run_of(*rounds("sequential", makespans)), "sequential")
    assert summary is not None
    assert (summary.outliers, summary.rounds, summary.slowest) == ((6,), 6, 9.0)
    assert (summary.makespan, summary.interval.value) == (1.025, 1.025)


def test_one_pair_has_a_ratio_but_no_bounds() -> None:
    found = ratio([3.0], [2.0])
    assert found.value == pytest.approx(1.5)
    assert not found.known


@pytest.mark.parametrize(("numerators", "denominators"), [([], []), ([1.0], []), ([1.0], [1.0, 2.0])])
def test_a_ratio_needs_pairs(numerators: list[float], denominators: list[float]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        ratio(numerators, denominators)


@given(PAIRS)
def test_a_ratio_lies_within_its_interval_and_among_its_pairs(of: list[tuple[float, float]]) -> None:
    found = ratio([a for a, _ in of], [b for _, b in of])
    each = [a / b for a, b in of]
    slack = 1 + 1e-9
    assert found.low <= found.value * slack
    assert found.value <= found.high * slack
    assert min(each) / slack <= found.value <= max(each) * slack


@given(PAIRS)
def test_the_ratio_the_other_way_round_is_its_inverse(of: list[tuple[float, float]]) -> None:
    numerators, denominators = [a for a, _ in of], [b for _, b in of]
    there, back = ratio(numerators, denominators), ratio(denominators, numerators)
    assert there.value * back.value == pytest.approx(1.0)
    assume(there.low > 1e-300 and there.high < 1e300)
    assert there.low * back.high == pytest.approx(1.0)


@given(PAIRS, st.floats(min_value=1e-3, max_value=1e3))
def test_a_ratio_knows_no_unit(of: list[tuple[float, float]], unit: float) -> None:
    plain = ratio([a for a, _ in of], [b for _, b in of])
    scaled = ratio([a * unit for a, _ in of], [b * unit for _, b in of])
    assert scaled.value == pytest.approx(plain.value)


@given(TIMES, st.integers(2, 10))
def test_rounds_without_any_spread_leave_no_doubt(time: float, count: int) -> None:
    found = ratio([2 * time] * count, [time] * count)
    assert (found.low, found.high) == pytest.approx((2.0, 2.0))


def test_rounds_that_differ_wildly_have_an_interval_all_the_same() -> None:
    found = ratio([1e-6, 1e6], [1e6, 1e-6])
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("interval", "value", "outside"),
    [
        (Interval(2.0, 1.5, 2.5), 1.0, True),
        (Interval(2.0, 1.5, 2.5), 1.5, False),
        (Interval(2.0, 1.5, 2.5), 3.0, True),
        (Interval(2.0), 1.0, False),  # nothing is known of it
    ],
)
def test_an_interval_excludes_what_is_outside(interval: Interval, value: float, outside: bool) -> None:
    assert interval.excludes(value) is outside


@pytest.mark.parametrize(
    ("services", "at_once", "number_of_cores", "seconds", "why"),
    [
        ([1.0, 1.0, 1.0, 1.0], 2, 4, 2.0, "service times shared by two at once"),
        ([3.0, 1.0, 1.0, 1.0], 4, 4, 3.0, "the longest call"),
        ([1.0, 1.0, 1.0, 1.0], 4, 2, 2.0, "CPU seconds shared by two cores"),
        ([1.0, 1.0, 1.0, 1.0], 1, 4, 4.0, "one at a time"),
    ],
)
def test_the_ideal_is_the_longest_of_three_bounds(
    services: list[float], at_once: int, number_of_cores: int, seconds: float, why: str
) -> None:
    sequential = leg("sequential", one_after_another(*services))
    assert ideal(sequential, at_once, number_of_cores) == pytest.approx(seconds), why


def test_waiting_needs_no_cores() -> None:
    sequential = leg("sequential", one_after_another(1.0, 1.0, 1.0, 1.0), cpu=0.0)
    assert ideal(sequential, at_once=4, cores=1) == pytest.approx(1.0)


def test_cpu_outside_the_calls_is_not_the_works() -> None:
    """Two of four seconds fell into the calls, so two of the four CPU seconds are theirs."""
    rows = (Row(0, 0.0, 0.0, 1.0, 1.0), Row(1, 0.0, 1.0, 2.0, 4.0))
    assert ideal(leg("sequential", rows, cpu=4.0), at_once=2, cores=1) == pytest.approx(2.0)


@given(st.lists(TIMES, min_size=1, max_size=20), st.integers(1, 8), st.integers(1, 8))
def test_no_schedule_of_the_same_calls_beats_the_ideal(
    services: list[float], at_once: int, number_of_cores: int
) -> None:
    """Graham: a list schedule, each call going to the worker that is free first, is never below it."""
    workers = min(at_once, number_of_cores)
    free = [0.0] * workers
    for service in services:
        first = free.index(min(free))
        free[first] += service
    sequential = leg("sequential", one_after_another(*services))
    assert ideal(sequential, workers, number_of_cores) <= max(free) * (1 + 1e-9)


def test_overhead_is_what_a_model_took_beyond_the_ideal_for_each_call() -> None:
    sequential = leg("sequential", one_after_another(1.0, 1.0))
    pool = leg("thread-pool", all_at_once(1.5, 1.5), at_once=2)
    assert overhead(pool, sequential, cores=2) == pytest.approx(0.25)


def test_sequential_itself_has_no_overhead_where_nothing_is_between_its_calls() -> None:
    sequential = leg("sequential", one_after_another(1.0, 2.0, 3.0))
    assert overhead(sequential, sequential, cores=4) == pytest.approx(0.0)


def test_only_rounds_that_both_models_have_are_paired() -> None:
    run = run_of(*rounds("sequential", [2.0, 4.0, 6.0]), *rounds("thread-pool", [1.0, 2.0]))
    assert [(a.round, b.round) for a, b in pairs(run, "thread-pool", "sequential")] == [(1, 1), (2, 2)]


def test_rounds_are_in_order_however_they_were_measured() -> None:
    run = run_of(*reversed(rounds("sequential", [1.0, 2.0, 3.0])))
    assert [leg.round for leg in complete(run, "sequential")] == [1, 2, 3]


def test_compared_is_how_many_times_as_fast() -> None:
    run = run_of(*rounds("sequential", [2.0, 4.0]), *rounds("thread-pool", [1.0, 2.0]))
    found = compared(run, "thread-pool", "sequential")
    assert found is not None
    assert found.value == pytest.approx(2.0)


def test_models_without_a_common_round_cannot_be_compared() -> None:
    run = run_of(*rounds("sequential", [1.0]))
    assert compared(run, "thread-pool", "sequential") is None


@pytest.mark.parametrize(
    ("remote", "model", "number"),
    [(False, "broker-queue", 4), (True, "broker-queue", 32), (True, "thread-pool", 4)],
)
def test_only_a_cluster_elsewhere_has_more_cores_than_this_machine(
    remote: bool, model: str, number: int
) -> None:
    run = run_of(settings={"remote": remote})
    assert cores(run, leg(model, one_after_another(1.0), at_once=32)) == number


def test_a_summary_of_a_model_that_was_not_measured_is_none() -> None:
    assert summarize(run_of(*rounds("sequential", [1.0])), "thread-pool") is None


def test_a_summary_takes_the_median_of_makespans_and_their_range() -> None:
    summary = summarize(run_of(*rounds("sequential", [3.0, 1.0, 9.0])), "sequential")
    assert summary is not None
    assert (summary.makespan, summary.fastest, summary.slowest, summary.rounds) == (3.0, 1.0, 9.0, 3)


def test_throughput_is_calls_by_the_median_makespan() -> None:
    summary = summarize(run_of(*rounds("sequential", [3.0, 1.0, 4.0])), "sequential")
    assert summary is not None
    assert summary.throughput == pytest.approx(2 / 3)


def test_percentiles_are_of_the_sojourn_times_of_all_rounds() -> None:
    legs = [leg("thread-pool", all_at_once(*range(1, 51)), number=n) for n in (1, 2)]
    summary = summarize(run_of(*legs), "thread-pool")
    assert summary is not None
    assert (summary.p50, summary.p99) == pytest.approx((25.5, 50.0))


def test_sequential_is_exactly_as_fast_as_itself() -> None:
    summary = summarize(run_of(*rounds("sequential", [3.0, 1.0])), "sequential")
    assert summary is not None
    assert summary.speedup == Interval(1.0, 1.0, 1.0)


def test_without_sequential_there_is_neither_speedup_nor_overhead() -> None:
    summary = summarize(run_of(*rounds("thread-pool", [3.0, 1.0])), "thread-pool")
    assert summary is not None
    assert (summary.speedup, summary.overhead) == (None, None)


def test_cpu_is_the_median_and_memory_the_peak() -> None:
    legs = [
        leg("thread-pool", one_after_another(1.0), number=n, cpu=cpu, memory=memory * MEGABYTE)
        for n, cpu, memory in ((1, 1.0, 70), (2, 5.0, 90), (3, 2.0, 80))
    ]
    summary = summarize(run_of(*legs), "thread-pool")
    assert summary is not None
    assert (summary.resources.cpu, summary.resources.memory) == (2.0, 90 * MEGABYTE)


def test_start_up_is_that_of_the_first_round() -> None:
    legs = [leg("process-pool", one_after_another(1.0), number=n, startup=s) for n, s in ((2, 0.1), (1, 0.7))]
    summary = summarize(run_of(*legs), "process-pool")
    assert summary is not None
    assert summary.startup == 0.7


def test_failed_calls_are_counted_over_all_rounds() -> None:
    rows = (Row(0, 0.0, None, None, 1.0, "", "ValueError"), Row(1, 0.0, 0.0, 1.0, 1.0))
    legs = [leg("thread-pool", rows, number=n) for n in (1, 2)]
    summary = summarize(run_of(*legs, environment=ENVIRONMENT), "thread-pool")
    assert summary is not None
    assert summary.failed == 2
