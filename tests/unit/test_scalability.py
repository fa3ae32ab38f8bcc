"""The universal scalability law: what was put in comes out, and noise widens what is said of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.measurement.scalability import fit

NUMBERS = (1, 2, 4, 8, 16)


def law(n: float, rate: float, contention: float, coherency: float) -> float:
    return rate * n / (1 + contention * (n - 1) + coherency * n * (n - 1))


@settings(max_examples=25)  # each fits a thousand resamples
@given(rate=st.floats(0.1, 1e5), contention=st.floats(0, 0.9), coherency=st.floats(0, 0.1))
def test_the_parameters_that_were_put_in_come_out(rate: float, contention: float, coherency: float) -> None:
    found = fit(NUMBERS, [law(n, rate, contention, coherency) for n in NUMBERS])
    assert found is not None
    assert found.rate == pytest.approx(rate, rel=1e-4)
    assert found.contention.value == pytest.approx(contention, abs=1e-5)
    assert found.coherency.value == pytest.approx(coherency, abs=1e-6)
    assert found.throughput(5) == pytest.approx(law(5, rate, contention, coherency), rel=1e-4)


def test_the_peak_is_where_gunther_s_formula_says() -> None:
    found = fit(NUMBERS, [law(n, 100, 0.05, 0.01) for n in NUMBERS])
    assert found is not None
    assert found.peak == pytest.approx(math.sqrt(0.95 / 0.01), rel=1e-3)
    around = [found.throughput(found.peak * share) for share in (0.9, 1.0, 1.1)]
    assert max(around) == around[1]


def test_throughput_that_only_grows_has_no_peak() -> None:
    found = fit(NUMBERS, [100.0 * n for n in NUMBERS])
    assert found is not None
    assert found.peak is None or found.peak > 1e4


def test_intervals_hold_the_true_parameters_of_noisy_measurements() -> None:
    """Of 40 fits at 95 % confidence the interval of κ misses a few; it must not miss many."""
    chance = np.random.default_rng(5)
    held = 0
    for _ in range(40):
        numbers = [n for n in NUMBERS for _ in range(3)]
        rates = [law(n, 50, 0.1, 0.02) * math.exp(chance.normal(0, 0.05)) for n in numbers]
        found = fit(numbers, rates)
        assert found is not None
        held += found.coherency.low <= 0.02 <= found.coherency.high
    assert held >= 32


def test_too_few_numbers_fit_any_law_and_so_none() -> None:
    assert fit((1, 2, 4, 4, 4), (1.0, 2.0, 3.0, 3.0, 3.0)) is None


def test_each_number_needs_a_rate() -> None:
    with pytest.raises(ValueError, match="each number needs a rate"):
        fit((1, 2), (1.0,))
