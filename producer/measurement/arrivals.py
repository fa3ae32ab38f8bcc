"""Arrivals: when the calls of an open-loop load are due, computed before the first of them is sent.

Their times depend on nothing that happens while they are sent: that is what makes the load open. A model that
falls behind is not given fewer calls, as it would be by callers that wait for their results.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls a second over time: constant, or a ramp, straight from `first` to `last`.

    Attributes:
        first: calls a second at the beginning.
        last: calls a second at the end.
        duration: seconds from the beginning to the end.

    Raises:
        ValueError: the duration is not above 0, a rate is below 0, both are 0, or one is not finite.
    """

    first: float
    last: float
    duration: float

    def __post_init__(self) -> None:
        if not (0 < self.duration < math.inf):
            raise ValueError(f"duration must be more than 0 seconds, not {self.duration}")
        if not (0 <= self.first < math.inf and 0 <= self.last < math.inf and self.first + self.last > 0):
            raise ValueError(f"rates must be calls a second, not {self.first} and {self.last}")

    def at(self, time: float) -> float:
        """Return the calls a second at `time`; after the end, those at the end."""
        return self.first + (self.last - self.first) * min(time / self.duration, 1.0)

    @property
    def total(self) -> float:
        """The number of calls to be expected from the beginning to the end."""
        return (self.first + self.last) / 2 * self.duration

    def when(self, count: float) -> float:
        """Return by when `count` calls are to be expected: the inverse of the rate's integral.

        Args:
            count: from 0 to `total`.
        """
        # first·t + slope/2·t² = count, solved in the form that loses no digits where the slope is near 0.
        slope = (self.last - self.first) / self.duration
        root = math.sqrt(max(0.0, self.first * self.first + 2 * slope * count))
        return min(2 * count / (self.first + root), self.duration) if count else 0.0


def evenly(rate: Rate) -> tuple[float, ...]:
    """Return the times of calls that come as evenly as the rate allows; at a constant rate, 1/rate apart."""
    # A hair less than the total, since 100/s for 0.07 s are 7.000000000000001 calls.
    return tuple(rate.when(count) for count in range(math.ceil(rate.total - 1e-9)))


def poisson(rate: Rate, seed: int) -> tuple[float, ...]:
    """Return the times of calls that come by chance, each without regard to the others: a Poisson process.

    A process with rate 1, whose gaps are exponentially distributed with mean 1, is taken through the inverse
    of the rate's integral (Çinlar, "Introduction to Stochastic Processes", 1975, chapter 4.7; Lewis and
    Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", 1979, call it time scaling).

    Args:
        rate: calls a second.
        seed: for the gaps; the same seed gives the same times.
    """
    return tuple(map(rate.when, _unit_process(rate.total, seed)))


def _unit_process(end: float, seed: int) -> Iterator[float]:
    chance = random.Random(seed)  # noqa: S311 - gaps, not secrets
    now = chance.expovariate(1.0)
    while now < end:
        yield now
        now += chance.expovariate(1.0)


#: The arrival processes, by the name that a user gives.
PROCESSES = {"constant": lambda rate, _seed: evenly(rate), "poisson": poisson}
