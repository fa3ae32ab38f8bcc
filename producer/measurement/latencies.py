"""Latencies in an HDR histogram: percentiles of an open-loop run, and a form that other tools read.

Gil Tene's HdrHistogram counts values in buckets whose width grows with the value, so that each is known to
three digits whatever its size: http://hdrhistogram.org. Where its Python library is not installed (it has no
wheel for Linux on ARM, nor for a free-threaded Python), percentiles are those of the values themselves, by
the same definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

try:
    from hdrh.histogram import HdrHistogram
except ImportError:  # no wheel for this machine
    HdrHistogram = None

#: Values are counted in microseconds, up to an hour, with so many digits.
_MICROSECOND, _MOST, _DIGITS = 1e-6, 3_600_000_000, 3


def percentiles(seconds: Sequence[float], *percents: float) -> tuple[float, ...]:
    """Return percentiles of some latencies: each the smallest that so many percent do not exceed.

    Args:
        seconds: the latencies. Those above an hour count as an hour, those below 1 µs as 0.
        *percents: 0 to 100.

    Raises:
        ValueError: there are no latencies.
    """
    if not seconds:
        raise ValueError("percentiles need values")
    if HdrHistogram is None:
        return exact([min(max(value, 0.0), _MOST * _MICROSECOND) for value in seconds], *percents)
    found = _histogram(seconds).get_percentile_to_value_dict(sorted(percents))
    return tuple(found[percent] * _MICROSECOND for percent in percents)


def exact(seconds: Sequence[float], *percents: float) -> tuple[float, ...]:
    """Like `percentiles`, of the values themselves; the rank is rounded half up, as HdrHistogram does."""
    ordered = sorted(seconds)
    return tuple(ordered[max(int(percent * len(ordered) / 100 + 0.5), 1) - 1] for percent in percents)


def encoded(seconds: Iterable[float]) -> str | None:
    """Return latencies as HdrHistogram's tools read them: compressed, in base64, in microseconds.

    None where the library is not installed.
    """
    if HdrHistogram is None:
        return None
    text: bytes = _histogram(seconds).encode()
    return text.decode("ascii")


def _histogram(seconds: Iterable[float]) -> Any:
    histogram = HdrHistogram(1, _MOST, _DIGITS)
    for value in seconds:
        histogram.record_value(min(max(round(value / _MICROSECOND), 0), _MOST))
    return histogram
