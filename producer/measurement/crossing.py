"""From which size of a call on one model is faster than another: pure functions over measured rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from producer.measurement.summary import Interval


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where one model begins to be faster than another.

    Attributes:
        size: seconds of a call; 0 if it is faster from the smallest size on, infinite if it is nowhere.
        sure: whether the lead at the next larger size that was measured is more than noise.
    """

    size: float
    sure: bool


def crossing(sizes: Sequence[float], ratios: Sequence[Interval]) -> Crossing:
    """Return the size from which on a ratio of rates stays above 1.

    Between the last size that was measured below 1 and the first above, the ratio is taken to be a straight
    line on logarithmic axes, which is what a fixed cost per call makes of it.

    Args:
        sizes: seconds of a call, ascending.
        ratios: at each size, how many times as fast the model is as the other.

    Raises:
        ValueError: they are empty, or of different lengths.
    """
    if not sizes or len(sizes) != len(ratios):
        raise ValueError("each size needs a ratio")
    first = len(ratios)
    while first > 0 and ratios[first - 1].value > 1.0:
        first -= 1
    if first == len(ratios):
        return Crossing(math.inf, True)
    sure = ratios[first].excludes(1.0)
    if first == 0:
        return Crossing(0.0, sure)
    low, high = math.log(ratios[first - 1].value), math.log(ratios[first].value)
    share = -low / (high - low)
    size = math.log(sizes[first - 1]) + share * (math.log(sizes[first]) - math.log(sizes[first - 1]))
    return Crossing(math.exp(size), sure)
