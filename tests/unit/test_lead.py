"""Over which sizes one model is faster than another, read off rates at some sizes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measurement.lead import leads, sure_places
from producer.measurement.summary import Interval, ratio

SIZES = (1e-5, 1e-4, 1e-3, 1e-2)


def exact(*values: float) -> list[Interval]:
    return [Interval(value, value / 1.001, value * 1.001) for value in values]


def noisy(*values: float) -> list[Interval]:
    return [Interval(value, value / 2, value * 2) for value in values]


def test_a_model_that_is_always_faster_leads_over_all_sizes() -> None:
    (lead,) = leads(SIZES, exact(1.1, 2, 3, 4))
    assert (lead.start, lead.end, lead.sure) == (0.0, math.inf, True)


def test_a_model_that_is_never_faster_leads_nowhere() -> None:
    assert leads(SIZES, exact(0.1, 0.5, 0.9, 0.99)) == ()


def test_a_lead_begins_on_a_straight_line_between_the_two_sizes() -> None:
    (lead,) = leads(SIZES, exact(0.25, 0.5, 2, 4))
    assert lead.start == pytest.approx(math.sqrt(1e-4 * 1e-3))


def test_a_lead_that_is_lost_again_ends_where_the_other_overtakes() -> None:
    (lead,) = leads(SIZES, exact(0.5, 2, 2, 0.5))
    assert lead.start == pytest.approx(math.sqrt(1e-5 * 1e-4))
    assert lead.end == pytest.approx(math.sqrt(1e-3 * 1e-2))


def test_leads_of_both_models_are_found_however_often_they_change() -> None:
    first, last = leads(SIZES, exact(2, 0.5, 0.5, 2))
    assert (first.start, first.end) == (0.0, pytest.approx(math.sqrt(1e-5 * 1e-4)))
    assert (last.start, last.end) == (pytest.approx(math.sqrt(1e-3 * 1e-2)), math.inf)


def test_noise_around_1_changes_no_lead() -> None:
    """A dip that is within noise, between two sizes at which the model surely leads, is not a change."""
    (lead,) = leads(SIZES, [*exact(0.5, 4), *noisy(0.9), *exact(4)])
    assert (lead.end, lead.sure) == (math.inf, True)


def test_a_lead_at_the_largest_size_that_may_be_noise_is_told_from_a_sure_one() -> None:
    (lead,) = leads(SIZES, [*exact(0.5, 0.5), *noisy(1.2, 1.3)])
    assert not lead.sure
    assert 1e-4 < lead.start < 1e-3
    assert lead.high == math.inf


def test_where_one_model_perhaps_overtakes_the_other_s_lead_ends() -> None:
    ratios = [*exact(0.5, 0.5), *noisy(1.2, 1.3)]
    others = [Interval(1 / of.value, 1 / of.high, 1 / of.low) for of in ratios]
    (mine,), (its,) = leads(SIZES, ratios), leads(SIZES, others)
    assert its.end == pytest.approx(mine.start)
    assert (its.start, its.sure) == (0.0, True)


def test_where_nothing_is_sure_a_lead_is_not_either() -> None:
    assert [lead.sure for lead in leads(SIZES, noisy(1.2, 0.9, 1.1, 1.3))] == [False]
    assert leads(SIZES, noisy(1.2, 1.1, 1.1, 0.9)) == ()


def test_the_interval_of_a_start_is_where_the_band_holds_1() -> None:
    band = [Interval(v, v / 1.5, v * 1.5) for v in (0.25, 0.5, 2, 4)]
    (lead,) = leads(SIZES, band)
    assert 1e-4 < lead.low < lead.start < lead.high < 1e-3


@pytest.mark.parametrize("values", [(), (1.0,)])
def test_every_size_needs_a_ratio(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="each size needs a ratio"):
        leads(SIZES[: 2 * len(values)], exact(*values))


@given(cost=st.floats(1e-6, 1e-1), gain=st.floats(1.2, 64))
def test_a_fixed_cost_per_call_breaks_even_where_arithmetic_says(cost: float, gain: float) -> None:
    """A pool that divides the work by `gain` and adds `cost` to a call pays where size = size/gain + cost."""
    sizes = [10 ** (power / 10) for power in range(-70, 20)]
    (lead,) = leads(sizes, exact(*(size / (size / gain + cost) for size in sizes)))
    assert lead.start == pytest.approx(cost / (1 - 1 / gain), rel=0.02)


@given(
    st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1.0001, 1e3), st.booleans()), min_size=1, max_size=12)
)
def test_a_lead_holds_wherever_it_is_sure_and_nowhere_else(points: list[tuple[float, float, bool]]) -> None:
    """Whatever was measured: ranges ascend, and hold each size at which the model surely leads or none."""
    sizes = [10.0**n for n in range(len(points))]
    ratios = [Interval(v, v / w, v * w) if known else Interval(v) for v, w, known in points]
    found = leads(sizes, ratios)
    bounds = [bound for lead in found for bound in (lead.start, lead.end)]
    assert bounds == sorted(bounds)
    for place in sure_places(ratios):
        size = sizes[place]
        inside = any(lead.start <= size * 1.001 and size <= lead.end * 1.001 for lead in found)
        assert inside == (ratios[place].value > 1)


def test_a_single_size_in_the_middle_is_taken_for_chance() -> None:
    """Of many sizes one is beyond noise by chance."""
    assert sure_places([*noisy(1.2), *exact(1.5), *noisy(1.1, 1.3)]) == []
    assert sure_places([*noisy(1.2), *exact(1.5, 1.4), *noisy(1.3)]) == [1, 2]
    assert sure_places([*exact(1.5), *noisy(1.1, 1.2), *exact(0.5)]) == [0, 3]


def test_no_lead_is_claimed_of_sizes_at_which_the_other_was_faster() -> None:
    """Nothing is sure at the two smallest; but that this one was slower there is not called a lead."""
    (lead,) = leads(SIZES, [*noisy(0.7, 0.8), *exact(1.5, 2)])
    assert 1e-4 < lead.start < 1e-3
    assert (lead.low, lead.sure) == (0.0, True)


def test_models_that_are_alike_have_no_sure_lead_in_95_of_100_sweeps() -> None:
    """As break-even compares them: 13 sizes, 5 rounds, each off by a few percent."""
    chance = random.Random(7)  # noqa: S311 - a series, not a secret
    sizes = [10 ** (power / 2) for power in range(-12, 1)]
    wrong = 0
    for _ in range(300):
        one, other = ([[chance.lognormvariate(0, 0.05) for _ in range(5)] for _ in sizes] for _ in "ab")
        found = leads(sizes, [ratio(a, b) for a, b in zip(one, other, strict=True)])
        wrong += any(lead.sure for lead in found)
    assert wrong <= 15
