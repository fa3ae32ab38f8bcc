"""Where one model begins to be faster than another, read off rates at some sizes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measurement.crossing import crossing
from producer.measurement.summary import Interval

SIZES = (1e-5, 1e-4, 1e-3, 1e-2)


def ratios(*values: float) -> list[Interval]:
    return [Interval(value, value / 1.01, value * 1.01) for value in values]


def test_a_model_that_is_always_faster_is_so_from_the_smallest_size() -> None:
    assert crossing(SIZES, ratios(1.1, 2, 3, 4)).size == 0.0


def test_a_model_that_is_never_faster_is_so_at_no_size() -> None:
    assert crossing(SIZES, ratios(0.1, 0.5, 0.9, 0.99)).size == math.inf


def test_a_lead_that_is_lost_again_does_not_count() -> None:
    assert crossing(SIZES, ratios(0.5, 2, 0.5, 2)).size > 1e-3


def test_the_crossing_lies_on_a_straight_line_between_the_two_sizes() -> None:
    assert crossing(SIZES, ratios(0.25, 0.5, 2, 4)).size == pytest.approx(math.sqrt(1e-4 * 1e-3))


def test_a_lead_within_noise_is_told_from_a_sure_one() -> None:
    doubtful = [*ratios(0.5, 0.5), Interval(1.2, 0.8, 1.8), Interval(2, 1.5, 2.5)]
    assert not crossing(SIZES, doubtful).sure
    assert crossing(SIZES, ratios(0.5, 0.5, 2, 2)).sure


@pytest.mark.parametrize("values", [(), (1.0,)])
def test_every_size_needs_a_ratio(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="each size needs a ratio"):
        crossing(SIZES[: 2 * len(values)], ratios(*values))


@given(cost=st.floats(1e-6, 1e-1), gain=st.floats(1.2, 64))
def test_a_fixed_cost_per_call_breaks_even_where_arithmetic_says(cost: float, gain: float) -> None:
    """A pool that divides the work by `gain` and adds `cost` to a call pays where size = size/gain + cost."""
    sizes = [10 ** (power / 10) for power in range(-70, 20)]
    found = crossing(sizes, ratios(*(size / (size / gain + cost) for size in sizes)))
    assert found.size == pytest.approx(cost / (1 - 1 / gain), rel=0.02)
