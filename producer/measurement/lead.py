"""Over which sizes of a call one model is faster than another: pure functions over measured ratios.

Noise makes a ratio that is near 1 change sides at will. So a change of the lead counts only between sizes at
which the one model is faster by more than noise and sizes at which the other is; where exactly is read off
the estimates in between, and how exactly from their confidence band: where the band last holds 1 (the
inversion of a confidence band; Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16, 1954,
does the same for a ratio).

Of many sizes, one is beyond noise by chance: of 13, at 99 %, in every eighth comparison of a model with
itself. So it takes two neighbours on the same side, which noise makes in one of a thousand; only at
the smallest and at the largest size, where a lead may go on beyond, one is enough.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from producer.measurement.summary import Interval


@dataclass(frozen=True, slots=True)
class Lead:
    """A range of sizes, in seconds of a call, over which a model is faster than another.

    Attributes:
        start: where it begins; 0 if it holds from the smallest size that was measured.
        end: where it ends; infinite if it holds up to the largest size.
        low, high: the 95 % confidence interval of `start`, as far as the sizes tell.
        sure: whether it is more than noise.
    """

    start: float
    end: float
    low: float
    high: float
    sure: bool


def leads(sizes: Sequence[float], ratios: Sequence[Interval]) -> tuple[Lead, ...]:
    """Return the ranges of sizes over which a ratio of rates is above 1, ascending.

    Between two sizes a ratio is taken to be a straight line on logarithmic axes, which is what a fixed cost
    per call makes of it. A ratio that ends above 1, but by no more than noise, makes a last range that is not
    `sure`.

    Args:
        sizes: seconds of a call, ascending.
        ratios: at each size, how many times as fast the model is as the other.

    Raises:
        ValueError: they are empty, or of different lengths.
    """
    if not sizes or len(sizes) != len(ratios):
        raise ValueError("each size needs a ratio")
    logs = [math.log(size) for size in sizes]
    middle = [math.log(of.value) for of in ratios]
    lower = [_log(of.low) for of in ratios]
    upper = [_log(of.high) for of in ratios]
    sure = sure_places(ratios)
    found: list[Lead] = []
    begun: tuple[float, float, float] | None = None  # the start of the lead that goes on, and its interval
    if sure and middle[sure[0]] > 0:
        # Nothing is sure of the sizes before; where the other was faster there, no lead is claimed.
        start = _edge(logs[: sure[0] + 1], middle)
        begun = (start, 0.0, _crossing(logs, lower, 0, sure[0]) if start else 0.0)
    for before, after in itertools.pairwise(sure):
        if middle[before] < 0 < middle[after]:
            begun = (
                _crossing(logs, middle, before, after),
                _crossing(logs, upper, before, after),
                _crossing(logs, lower, before, after),
            )
        elif middle[before] > 0 > middle[after]:
            assert begun is not None  # noqa: S101 - for the type checker: it is above 1 at `before`
            falling = [-value for value in middle]
            found.append(Lead(begun[0], _crossing(logs, falling, before, after), *begun[1:], sure=True))
            begun = None
    if begun is not None:
        falling = [-value for value in middle]
        end = _crossing(logs, falling, sure[-1], len(logs) - 1) if middle[-1] < 0 else math.inf
        found.append(Lead(begun[0], end, *begun[1:], sure=True))
    elif middle[-1] > 0:
        first = sure[-1] if sure else 0
        start = _crossing(logs, middle, first, len(logs) - 1) if middle[first] < 0 else _edge(logs, middle)
        low = _crossing(logs, upper, first, len(logs) - 1) if sure else 0.0
        found.append(Lead(start, math.inf, low, math.inf, sure=False))
    return tuple(found)


def sure_places(ratios: Sequence[Interval]) -> list[int]:
    """Return where a ratio is on one side of 1 by more than noise, and so is a neighbour, or it is an end."""
    sides = [math.copysign(1.0, of.value - 1.0) if of.excludes(1.0) else 0.0 for of in ratios]
    last = len(sides) - 1
    return [
        index
        for index, side in enumerate(sides)
        if side and (index in (0, last) or side in (sides[index - 1], sides[index + 1]))
    ]


def _crossing(logs: Sequence[float], values: Sequence[float], first: int, last: int) -> float:
    """Return where a line through `values` comes from below 0 for the last time between two places."""
    place = last
    while place > first + 1 and values[place - 1] > 0:
        place -= 1
    low, high = values[place - 1], values[place]
    share = min(1.0, max(0.0, -low / (high - low))) if high > low else 1.0
    return math.exp(logs[place - 1] + share * (logs[place] - logs[place - 1]))


def _edge(logs: Sequence[float], values: Sequence[float]) -> float:
    """Return from where on `values` stay above 0; 0 if all do."""
    below = [index for index, value in enumerate(values[: len(logs)]) if value <= 0]
    return _crossing(logs, values, below[-1], len(logs) - 1) if below else 0.0


def _log(bound: float) -> float:
    # Two rounds that differ wildly have bounds that no float holds; one round has none.
    return math.log(min(max(bound, 1e-300), 1e300))
