"""How figures are written: in three digits that a person can read, never saying what they do not say."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measurement.summary import Interval
from producer.reports.words import NONE, counted, digits, interval, listed, megabytes, percent, seconds, span

UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0 s"),
        (2.81, "2.81 s"),
        (123.4, "123 s"),
        (0.9996, "1.00 s"),  # not 1000 ms
        (0.0451, "45.1 ms"),
        (45.1e-6, "45.1 µs"),
        (300e-9, "300 ns"),
        (-45.1e-6, "-45.1 µs"),  # an overhead below zero is noise, and shown
        (-2e-10, "0 s"),
    ],
)
def test_a_duration_has_three_digits_and_the_unit_that_fits(value: float, written: str) -> None:
    assert seconds(value) == written


@given(st.floats(min_value=1e-6, max_value=86_400))
def test_a_written_duration_is_near_the_duration(value: float) -> None:
    number, unit = seconds(value).split()
    assert float(number.replace(",", "")) * UNITS[unit] == pytest.approx(value, rel=0.006)


@given(st.floats(min_value=0.0, max_value=1e6))
def test_no_duration_is_written_with_a_thousand_of_a_smaller_unit(value: float) -> None:
    number, unit = seconds(value).split()
    assert unit == "s" or float(number) < 1000


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0.00"),
        (1.0, "1.00"),
        (0.5, "0.50"),
        (9.996, "10.0"),
        (99.96, "100"),
        (12_345.6, "12,346"),
        (0.0021, "0.0021"),
        (0.00002, "<0.0001"),
        (math.inf, "∞"),
    ],
)
def test_a_number_has_three_digits_or_two_below_one(value: float, written: str) -> None:
    assert digits(value) == written


@given(st.floats(min_value=1e-4, max_value=1e9))
def test_a_written_number_is_near_the_number_and_has_no_exponent(value: float) -> None:
    written = digits(value)
    assert re.fullmatch(r"[\d,]+(\.\d+)?", written)
    assert float(written.replace(",", "")) == pytest.approx(value, rel=0.06)


@given(st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_share_below_all_is_never_written_as_all(value: float) -> None:
    assert not percent(value).startswith("100")


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0 %"), (0.5, "50 %"), (0.997, "99.7 %"), (1.0, "100 %")]
)
def test_a_share_is_written_in_percent(value: float, written: str) -> None:
    assert percent(value) == written


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (2.79, 2.85, "2.79 to 2.85 s"),
        (0.5, 2.0, "0.50 to 2.00 s"),  # one unit for both ends
        (0.0009996, 0.001, "1.00 to 1.00 ms"),
        (0.0, 0.0, "0.00 to 0.00 ns"),
    ],
)
def test_a_range_has_one_unit_that_of_its_upper_end(low: float, high: float, written: str) -> None:
    assert span(low, high) == written


def test_an_interval_is_written_by_its_bounds() -> None:
    assert interval(Interval(2.0, 1.5, 2.6)) == "1.50 to 2.60"


def test_an_interval_without_bounds_is_a_dash() -> None:
    assert interval(Interval(2.0)) == NONE


def test_bytes_are_written_in_megabytes() -> None:
    assert megabytes(1_234_567_890) == "1,235 MB"


def test_one_thing_is_written_in_the_singular() -> None:
    assert [counted(number, "call") for number in (1, 2, 2_000)] == ["1 call", "2 calls", "2,000 calls"]


@pytest.mark.parametrize(
    ("words", "sentence"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_a_list_is_written_as_a_sentence_has_it(words: list[str], sentence: str) -> None:
    assert listed(words) == sentence
