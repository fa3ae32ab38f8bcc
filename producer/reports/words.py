"""How figures are written, everywhere alike."""

from __future__ import annotations

import math

from producer.measurement.summary import SURE, Interval

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
NONE = "–"
#: An interval whose ends are so many times apart says nothing: two rounds that differ give such ones.
_NOTHING = 1000.0


def seconds(value: float) -> str:
    """Write a duration with three significant digits and its unit: `2.81 s`, `45.1 µs`."""
    for size, unit in _UNITS:
        # A value that rounds up to the next unit is written in that: 1 s, not 1000 ms.
        if abs(value) >= 0.9995 * size:
            return f"{digits(value / size)} {unit}"
    nanoseconds = round(value * 1e9)
    return f"{nanoseconds} ns" if nanoseconds else "0 s"


def span(low: float, high: float) -> str:
    """Write a range of durations in the unit of its upper end: `2.79 to 2.85 s`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if high >= 0.9995 * size), (1e-9, "ns"))
    return f"{digits(low / size)} to {digits(high / size)} {unit}"


def digits(value: float) -> str:
    """Write a number with three significant digits, or two below 1, and no exponent."""
    if not math.isfinite(value):
        return "∞"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    if 0 < value < 1e-4:
        return "<0.0001"
    return f"{value:#.2g}" if 0 < value < 0.0995 else f"{value:.2f}"


def interval(of: Interval) -> str:
    """Write an interval's bounds; a dash where there are none, or none that say anything."""
    return f"{digits(of.low)} to {digits(of.high)}" if of.known and _tells(of.low, of.high) else NONE


def confidence(of: Interval) -> str:
    """Write the interval that decides whether there is a difference: `99 % confidence: 1.32 to 1.41`."""
    low, high = of.sure or (of.low, of.high)
    if not _tells(low, high):
        return "too few rounds to say how sure that is"
    return f"{100 * SURE:.0f} % confidence: {digits(low)} to {digits(high)}"


def _tells(low: float, high: float) -> bool:
    return high < _NOTHING * low


def megabytes(value: int) -> str:
    """Write a number of bytes in megabytes (10⁶ bytes)."""
    return f"{value / 1e6:,.0f} MB"


def percent(value: float) -> str:
    """Write a share; above 99.5 % with a digit more, so that nothing is called all that is not."""
    return f"{min(100 * value, 99.9):.1f} %" if 0.995 <= value < 1 else f"{100 * value:.0f} %"


def counted(number: int, noun: str) -> str:
    """Write a number of things: `1 call`, `2,000 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: list[str]) -> str:
    """Write a list as a sentence has it: `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
