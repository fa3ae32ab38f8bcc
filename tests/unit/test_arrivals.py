"""When calls arrive: as many as the rate says, reproducibly, and by chance where chance is asked for."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from scipy.stats import poisson as poisson_distribution

from producer.measurement.arrivals import Rate, evenly, poisson

RATES = st.builds(Rate, st.floats(0, 500), st.floats(0.1, 500), st.floats(0.1, 4))
SEEDS = st.integers(0, 2**32)


def test_a_constant_rate_sends_calls_at_equal_distances_from_the_start_on() -> None:
    assert evenly(Rate(10, 10, 0.5)) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_ramp_sends_the_calls_that_its_area_says() -> None:
    """From 0 to 100 a second in 2 s are 100 calls, a quarter of them in the first half."""
    times = evenly(Rate(0, 100, 2))
    assert len(times) == 100
    assert sum(time < 1 for time in times) == 25


@given(RATES, st.floats(0, 1))
def test_when_is_the_inverse_of_the_calls_expected_until_then(rate: Rate, share: float) -> None:
    time = rate.when(share * rate.total)
    expected = (rate.first + rate.at(time)) / 2 * time
    assert expected == pytest.approx(share * rate.total, rel=1e-6, abs=1e-6)


@given(RATES, SEEDS)
def test_times_ascend_within_the_duration(rate: Rate, seed: int) -> None:
    for times in (evenly(rate), poisson(rate, seed)):
        assert list(times) == sorted(times)
        assert all(0 <= time <= rate.duration for time in times)


def test_the_same_seed_gives_the_same_times_and_another_seed_others() -> None:
    rate = Rate(50, 300, 2)
    assert poisson(rate, 7) == poisson(rate, 7)
    assert poisson(rate, 7) != poisson(rate, 8)


def test_poisson_arrivals_at_a_constant_rate_have_exponential_gaps() -> None:
    """Kolmogorov and Smirnov's test, with a seed that makes it the same each time."""
    times = poisson(Rate(200, 200, 50), 1)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert kstest(gaps, "expon", args=(0, 1 / 200)).pvalue > 0.01
    assert abs(len(times) - 10_000) < 4 * math.sqrt(10_000)


def test_poisson_arrivals_of_a_ramp_are_as_many_in_each_part_as_its_area_says() -> None:
    rate = Rate(100, 600, 20)
    times = poisson(rate, 3)
    for start in range(20):
        expected = (rate.at(start) + rate.at(start + 1)) / 2
        low, high = poisson_distribution.interval(0.9999, expected)
        assert low <= sum(start <= time < start + 1 for time in times) <= high


def test_poisson_gaps_do_not_depend_on_each_other() -> None:
    times = poisson(Rate(200, 200, 50), 2)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviations = [gap - mean for gap in gaps]
    correlation = sum(a * b for a, b in pairwise(deviations)) / sum(d * d for d in deviations)
    assert abs(correlation) < 4 / math.sqrt(len(gaps))


@pytest.mark.parametrize(
    "bad", [(0, 0, 1), (-1, 2, 1), (1, 1, 0), (1, 1, -1), (math.inf, 1, 1), (1, math.nan, 1), (1, 1, 1e999)]
)
def test_a_rate_that_is_none_is_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Rate(*bad)
