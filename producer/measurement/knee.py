"""How many workers to take: the knee of throughput and latency over the size of a pool."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

#: How much more throughput counts than latency. In a closed loop with a fixed number of calls for each
#: worker, latency grows as workers ÷ throughput, so twice the workers are worth it where they bring at least
#: 2 ** (1 / (1 + WEIGHT)) = 1.19 times the throughput. With 1, which is Kleinrock's own, that would be 1.41:
#: more than the second thread of a core ever brings.
WEIGHT = 3
_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Knee:
    """The size that is recommended.

    Attributes:
        size: workers.
        confidence: the share of resamples of the rounds that recommend it; None with a single round.
        others: that share for all other sizes that any resample recommends, the largest share first.
        rounds: from how many rounds that is.
    """

    size: int
    confidence: float | None
    others: tuple[tuple[int, float], ...] = ()
    rounds: int = 1


def knee(sizes: Sequence[int], throughput: Sequence[Sequence[float]], p99: Sequence[Sequence[float]]) -> Knee:
    """Return the size to recommend: that with the highest throughput³ ÷ p99.

    That quotient is the power of a queueing system, which is highest at the knee of its latency over its
    throughput: below, more throughput costs hardly any latency; beyond, latency grows and throughput does
    not. (Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer
    communications", ICC 1979, with an exponent for what throughput is worth.) No threshold is involved that
    noise could push a size across.

    Figures are geometric means over the rounds. The rule is applied to 2,000 samples of the rounds, drawn
    with replacement, and what most of them recommend is recommended: a bootstrap (Efron, "Bootstrap methods:
    another look at the jackknife", Ann. Stat. 7, 1979) as the vote of bagging (Breiman, "Bagging predictors",
    Machine Learning 24, 1996). Rounds are drawn whole, so that all sizes of a sample were measured under the
    same conditions.

    Args:
        sizes: workers, ascending.
        throughput: calls a second, for each round a figure for each size.
        p99: seconds, likewise.

    Raises:
        ValueError: there is no round, or one of another number of figures.
    """
    import numpy as np

    rates, waits = np.log(np.array(throughput, float)), np.log(np.array(p99, float))
    if not len(sizes) or rates.shape != waits.shape or rates.ndim != 2 or rates.shape[1] != len(sizes):
        raise ValueError("each round needs a throughput and a p99 for each size")
    power = WEIGHT * rates - waits
    rounds = len(power)
    if rounds == 1:
        return Knee(sizes[int(power[0].argmax())], None)
    drawn = np.random.default_rng(rounds).integers(0, rounds, (_RESAMPLES, rounds))
    chosen = power[drawn].mean(axis=1).argmax(axis=1)  # of equals the first, and so the smallest
    votes = np.bincount(chosen, minlength=len(sizes)) / _RESAMPLES
    order = sorted(range(len(sizes)), key=lambda place: -votes[place])
    ranked = [(sizes[place], float(votes[place])) for place in order if votes[place] > 0]
    return Knee(ranked[0][0], ranked[0][1], tuple(ranked[1:]), rounds)


def default_workers(model: str) -> int | None:
    """Return how many workers the standard library gives a pool on this machine; None for other models.

    As documented for `concurrent.futures`: ThreadPoolExecutor (and InterpreterPoolExecutor, which is one)
    min(32, cores + 4), ProcessPoolExecutor the cores; these are those in reach of the process from Python
    3.13 on, and all of the machine before.
    """
    count = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    return {
        "thread-pool": min(32, count + 4),
        "interpreter-pool": min(32, count + 4),
        "process-pool": min(61, count) if os.name == "nt" else count,
    }.get(model)
