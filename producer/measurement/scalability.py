"""The universal scalability law, fitted to measured throughput: pure functions.

    X(n) = λ n / (1 + σ (n - 1) + κ n (n - 1))

λ is the throughput of one, σ (contention) what n of them queue for, κ (coherency) what each has to settle
with each other: Gunther, "Guerrilla Capacity Planning", Springer 2007, chapters 4 to 6. With κ = 0 it is
Amdahl's law, with both 0 throughput is proportional to n. With κ > 0 it has a maximum at n = √((1 - σ) / κ).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from producer.measurement.summary import CONFIDENCE, Interval

#: Different n that a fit needs: one more than the law has parameters.
FEWEST = 4
_RESAMPLES = 1_000
#: A term's share of the largest below which it is an error of rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law.

    Attributes:
        rate: λ, calls a second.
        contention: σ, with its 95 % confidence interval.
        coherency: κ, likewise.
        error: the root mean square of the relative residuals: how far measurements lie off the law.
    """

    rate: float
    contention: Interval
    coherency: Interval
    error: float

    def throughput(self, n: float) -> float:
        """Return the calls a second of n."""
        queued, settled = self.losses(n)
        return self.rate * n / (1 + queued + settled)

    def losses(self, n: float) -> tuple[float, float]:
        """Return what contention and coherency each add to the time of a call at n, as a share of it."""
        return self.contention.value * (n - 1), self.coherency.value * n * (n - 1)

    @property
    def peak(self) -> float | None:
        """Return the n with the most throughput; None where the law has no maximum, or none above 1."""
        if not self.coherency.value or self.contention.value >= 1:
            return None
        peak = math.sqrt((1 - self.contention.value) / self.coherency.value)
        return peak if peak > 1 else None


def fit(numbers: Sequence[int], rates: Sequence[float]) -> Law | None:
    """Fit the law to measurements; None for fewer than 4 different n, which three parameters always fit.

    n / X(n) is linear in 1/λ, σ/λ and κ/λ, none of which is negative. So the relative error of it is made
    least by non-negative least squares (Lawson and Hanson, "Solving Least Squares Problems", 1974), which
    needs no first guess and finds no false minimum. The intervals are percentiles of 1,000 fits to resampled
    residuals (Davison and Hinkley, "Bootstrap Methods and their Application", Cambridge 1997, section 6.3).

    Args:
        numbers: n of each measurement.
        rates: its calls a second, above 0.

    Raises:
        ValueError: they are of different lengths.
    """
    import numpy as np

    if len(numbers) != len(rates):
        raise ValueError("each number needs a rate")
    if len(set(numbers)) < FEWEST:
        return None
    n = np.array(numbers, float)
    times = n / np.array(rates, float)
    base, queued, settled = _solve(n, times)
    if not base > 0:  # one alone would have taken no time: this is no such law
        return None
    fitted = base + queued * (n - 1) + settled * n * (n - 1)
    off = np.log(times / fitted)
    spread = (off - off.mean()) * math.sqrt(len(n) / max(1, len(n) - 3))
    chance = np.random.default_rng(len(n))
    drawn = [
        _solve(n, fitted * np.exp(chance.choice(spread, len(n), replace=True))) for _ in range(_RESAMPLES)
    ]
    ends = np.array([(b / a, c / a) for a, b, c in drawn if a > 0])
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    lows, highs = np.quantile(ends, tails, axis=0)
    contention, coherency = (
        Interval(value, min(value, float(low)), max(value, float(high)))
        for value, low, high in zip((queued / base, settled / base), lows, highs, strict=True)
    )
    return Law(1 / base, contention, coherency, float(np.sqrt(np.mean(off**2))))


def _solve(n: Any, times: Any) -> tuple[float, float, float]:
    import numpy as np
    from scipy.optimize import nnls

    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1) / times[:, None]
    # Each column to the same length: n (n - 1) of hundreds would leave the others without a digit.
    lengths = np.linalg.norm(columns, axis=0)
    found, _ = nnls(columns / lengths, np.ones_like(n))
    found[found < _ROUNDING * found.max()] = 0  # what rounding leaves of a term that is not there
    base, queued, settled = (float(value) for value in found / lengths)
    return base, queued, settled
