"""Percentiles of an open-loop run, with the library and without it, and what other tools read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measurement import latencies
from producer.measurement.latencies import encoded, exact, percentiles

VALUES = st.lists(st.floats(1e-6, 3000), min_size=1, max_size=200)


@given(VALUES, st.floats(0, 100))
def test_percentiles_are_those_of_the_values_to_three_digits(values: list[float], percent: float) -> None:
    assert percentiles(values, percent, 99)[0] == pytest.approx(exact(values, percent)[0], rel=2e-3, abs=1e-6)


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() -> None:
    values = [n / 1000 for n in range(100, 0, -1)]
    assert exact(values, 0, 50, 99, 100) == (0.001, 0.050, 0.099, 0.100)


def test_percentiles_come_in_the_order_in_which_they_are_asked_for() -> None:
    assert percentiles([0.001, 1.0], 99, 50) == pytest.approx([1.0, 0.001], rel=2e-3)


def test_without_the_library_percentiles_are_exact_and_there_is_no_encoded_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Linux on ARM has no wheel of it."""
    monkeypatch.setattr(latencies, "HdrHistogram", None)
    assert percentiles([0.1, 0.2, 0.3], 50) == (0.2,)
    assert encoded([0.1]) is None


def test_values_out_of_range_count_at_its_ends() -> None:
    low, high = percentiles([-1.0, 1e9], 0, 100)
    assert low == 0
    assert high == pytest.approx(3600, rel=2e-3)


def test_percentiles_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="need values"):
        percentiles([], 50)


def test_the_encoded_form_is_read_by_the_library_as_any_other_tool_would() -> None:
    histogram = pytest.importorskip("hdrh.histogram").HdrHistogram
    read = histogram.decode(encoded([0.001] * 98 + [0.5, 2.0]))
    assert read.get_total_count() == 100
    assert read.get_value_at_percentile(50) == pytest.approx(1000, rel=2e-3)
    assert read.get_max_value() == pytest.approx(2_000_000, rel=2e-3)
