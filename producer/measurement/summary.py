"""What a run's traces add up to: pure functions, each with its definition.

numpy and scipy are imported where they are used: they take longer to load than most commands to run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from producer.measurement.resources import Resources
from producer.measurement.run import Leg, Run
from producer.measurement.trace import Trace

#: How sure an interval that is shown is to hold the true value.
CONFIDENCE = 0.95
#: How sure a difference has to be to be called one. Of 100 comparisons of a model with itself, at least 95
#: shall show no difference. At this level one in 100 shows one by chance, and more than five in 100 do in one
#: of 2,000 such sets; at 95 % they would in two of five (by the binomial distribution).
SURE = 0.99
SEQUENTIAL = "sequential"

#: Rounds from which on a median has an interval: with five, even the range from the fastest to the slowest
#: holds the true median in no more than 1 - 2 / 2**5 = 94 % of all cases.
ENOUGH_ROUNDS = 6
_RESAMPLES = 2_000
#: From how many robust standard deviations on a round is an outlier, and how many rounds it takes to tell.
_OUTLIER, _OUTLIER_ROUNDS = 5.0, 5


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval; without bounds where too few rounds tell of its spread.

    Attributes:
        value: the estimate.
        low: lower bound of the 95 % interval.
        high: its upper bound.
        sure: the bounds of the 99 % interval, which decides whether there is a difference; None: they are
            `low` and `high`.
    """

    value: float
    low: float = -math.inf
    high: float = math.inf
    sure: tuple[float, float] | None = None

    @property
    def known(self) -> bool:
        """Whether there were rounds enough for bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def excludes(self, value: float) -> bool:
        """Tell whether `value` is outside the 99 % interval: the difference to it is more than noise."""
        low, high = self.sure or (self.low, self.high)
        return self.known and not low <= value <= high


@dataclass(frozen=True, slots=True)
class Summary:
    """A model's figures over all rounds. Times are in seconds.

    Attributes:
        model: its name.
        rounds: how many were measured.
        makespan: median over the rounds.
        interval: the same with its bootstrap interval, where there are rounds enough.
        fastest: the shortest makespan.
        slowest: the longest makespan.
        speedup: against sequential; None where sequential did not run.
        throughput: calls a second, from the median makespan.
        p50: median sojourn time of the calls of all rounds.
        p99: their 99th percentile.
        overhead: per call, median over the rounds; None where sequential did not run.
        resources: CPU and switches as the median over the rounds, peaks as the highest of them.
        startup: seconds to open the executor in the first round, when nothing of it is there yet.
        failed: calls that failed, in all rounds.
        outliers: rounds whose makespan is far from all others; they count like all others.
    """

    model: str
    rounds: int
    makespan: float
    interval: Interval
    fastest: float
    slowest: float
    speedup: Interval | None
    throughput: float
    p50: float
    p99: float
    overhead: float | None
    resources: Resources
    startup: float
    failed: int
    outliers: tuple[int, ...]


def makespan(trace: Trace) -> float:
    """Return the seconds from the first call's submission to the last one's delivery."""
    return max(row.delivered for row in trace) - min(row.submitted for row in trace)


def service_times(trace: Trace) -> list[float]:
    """Return for each call that ran the seconds from its start to its finish."""
    return [
        row.finished - row.started for row in trace if row.started is not None and row.finished is not None
    ]


def sojourn_times(trace: Trace) -> list[float]:
    """Return for each call the seconds from its submission to its delivery."""
    return [row.delivered - row.submitted for row in trace]


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the ratio of two series of paired measurements, with its confidence interval.

    Round i of both series ran within the same minute, so each pair shares the machine's mood, and only the
    pair's own ratio is looked at. Ratios are averaged as logarithms (their geometric mean), and the interval
    is Student's t interval for the mean of those, taken back: Fleming and Wallace, "How not to lie with
    statistics", CACM 29 (1986), for the mean; Student, "The probable error of a mean", Biometrika 6 (1908).

    With few rounds this is the interval that holds what it promises: it allows for the spread itself being an
    estimate, which a bootstrap of three rounds cannot.

    Args:
        numerators: the one series, all above zero.
        denominators: the other, equally long, all above zero.

    Raises:
        ValueError: they are empty, or of different lengths.
    """
    from scipy.special import stdtrit  # quantiles of Student's t; loads faster than scipy.stats

    if not numerators or len(numerators) != len(denominators):
        raise ValueError("a ratio needs pairs")
    logs = [math.log(a / b) for a, b in zip(numerators, denominators, strict=True)]
    mean = math.fsum(logs) / len(logs)
    if len(logs) < 2:
        return Interval(math.exp(mean))
    deviation = math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1))

    def bounds(confidence: float) -> tuple[float, float]:
        half = float(stdtrit(len(logs) - 1, (1 + confidence) / 2)) * deviation / math.sqrt(len(logs))
        return _exp(mean - half), _exp(mean + half)

    return Interval(math.exp(mean), *bounds(CONFIDENCE), sure=bounds(SURE))


def unpaired(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the ratio of two series that share no rounds, such as those of two runs, with its interval.

    The ratio of the geometric means. Each series has a spread of its own, so the interval is Welch's: "The
    generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34 (1947), on the logarithms, taken back.

    Args:
        numerators: the one series, all above zero.
        denominators: the other, all above zero.

    Raises:
        ValueError: one of them is empty.
    """
    from scipy.special import stdtrit

    if not numerators or not denominators:
        raise ValueError("a ratio needs two series")
    series = [[math.log(value) for value in values] for values in (numerators, denominators)]
    means = [math.fsum(logs) / len(logs) for logs in series]
    difference = means[0] - means[1]
    if min(len(logs) for logs in series) < 2:
        return Interval(_exp(difference))
    # The variance of each mean.
    first, second = (
        math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1) / len(logs)
        for logs, mean in zip(series, means, strict=True)
    )
    both = first + second
    # By shares of the variance, not by the variances, whose squares may be too small for a float.
    share = first / both if both else 0.5
    freedom = 1 / (share**2 / (len(numerators) - 1) + (1 - share) ** 2 / (len(denominators) - 1))

    def bounds(confidence: float) -> tuple[float, float]:
        half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(both)
        return _exp(difference - half), _exp(difference + half)

    return Interval(_exp(difference), *bounds(CONFIDENCE), sure=bounds(SURE))


def _exp(value: float) -> float:
    # Two rounds that differ wildly give an interval beyond what a float can hold.
    return math.exp(min(value, 700.0))


def middle(values: Sequence[float]) -> Interval:
    """Return the median of some measurements, with a bootstrap interval where there are at least 6.

    Percentiles of the medians of 2,000 samples with replacement (Efron, "Bootstrap methods: another look at
    the jackknife", Ann. Stat. 7, 1979), taken further out than 2.5 % and 97.5 %, which are too narrow for few
    values (Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69,
    2015: the expanded percentile interval). Always the same for the same values.

    Args:
        values: what was measured.

    Raises:
        ValueError: there are none.
    """
    # Not by `scipy.stats.bootstrap`: loading scipy.stats takes 0.8 s and 50 MB of the producer's memory.
    import numpy as np
    from scipy.special import ndtr, stdtrit

    count = len(values)
    if count < ENOUGH_ROUNDS:
        return Interval(median(values))
    chance = np.random.default_rng(count)
    medians = np.median(np.asarray(values)[chance.integers(0, count, (_RESAMPLES, count))], axis=1)
    tail = float(ndtr(-math.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 + CONFIDENCE) / 2)))
    low, high = (float(bound) for bound in np.quantile(medians, [tail, 1 - tail]))
    return Interval(median(values), low, high)


def outliers(values: Sequence[float]) -> list[int]:
    """Return the indices of measurements that are far from all others; of fewer than 5, none is.

    That is by the modified z-score of Iglewicz and Hoaglin ("How to detect and handle outliers", 1993): the
    distance from the median, in standard deviations as the median absolute deviation tells them. Their 3.5
    would find one in every eighth set of 6 to 10 normal values, so the bound here is 5.
    """
    if len(values) < _OUTLIER_ROUNDS:
        return []
    center = median(values)
    deviation = median(abs(value - center) for value in values)
    return [i for i, value in enumerate(values) if 0.6745 * abs(value - center) > _OUTLIER * deviation]


def ideal(sequential: Leg, at_once: int, cores: int) -> float:
    """Return the makespan that the work itself demands, whoever runs it, in seconds.

    It is the longest of three: all service times one after another, shared by the calls that can be in
    progress at once; the longest call, which nothing can divide; and the CPU seconds that the work needs,
    shared by the cores. (The first two are Graham's lower bounds on a schedule: "Bounds on multiprocessing
    timing anomalies", SIAM J. Appl. Math. 17, 1969.) All are taken from the sequential model, where nothing
    competes with a call; the CPU seconds are the share of them that fell into the calls.

    Args:
        sequential: a round of the sequential model.
        at_once: how many calls can be in progress at a time.
        cores: how many cores they can keep busy.
    """
    longest = max(service_times(sequential.trace), default=0.0)
    return max(shared(sequential, at_once, cores), longest)


def shared(sequential: Leg, at_once: int, cores: int) -> float:
    """Return `ideal` as it were if the work could be cut at will: without the bound of the longest call."""
    total = math.fsum(service_times(sequential.trace))
    cpu = sequential.resources.cpu * min(1.0, total / makespan(sequential.trace))
    return max(total / at_once, cpu / cores)


def overhead(leg: Leg, sequential: Leg, cores: int) -> float:
    """Return the seconds that a model added to each call: (makespan - ideal) ÷ calls.

    It is what the model costs, whatever the cause: handing calls over, waiting for the GIL, a schedule that
    leaves workers idle. A little below zero is noise: a call that happened to run faster than its twin in
    the sequential round.
    """
    return (makespan(leg.trace) - ideal(sequential, leg.at_once, cores)) / len(leg.trace)


def complete(run: Run, model: str) -> list[Leg]:
    """Return the rounds of a model, in order."""
    return sorted((leg for leg in run.legs if leg.model == model), key=lambda leg: leg.round)


def pairs(run: Run, one: str, other: str) -> list[tuple[Leg, Leg]]:
    """Return the rounds that both models have."""
    others = {leg.round: leg for leg in complete(run, other)}
    return [(leg, others[leg.round]) for leg in complete(run, one) if leg.round in others]


def compared(run: Run, one: str, other: str) -> Interval | None:
    """Return how many times as fast as `other` the model `one` is; None if they share no round."""
    both = pairs(run, one, other)
    if not both:
        return None
    return ratio([makespan(b.trace) for _, b in both], [makespan(a.trace) for a, _ in both])


def cores(run: Run, leg: Leg) -> int:
    """Return the cores that a leg's workers could keep busy: this machine's, or more on a larger cluster."""
    if run.settings.get("remote") and leg.model.startswith("broker-queue"):
        return max(run.environment.cores_in_reach, leg.at_once)
    return run.environment.cores_in_reach


def ranked(summaries: Sequence[Summary]) -> list[Summary]:
    """Return models' figures, the fastest first: by their speedup, which compares each with its own round.

    By their makespan where sequential did not run.
    """
    if all(summary.speedup is not None for summary in summaries):
        return sorted(summaries, key=lambda s: -(s.speedup.value if s.speedup else 0.0))
    return sorted(summaries, key=lambda summary: summary.makespan)


def summarize(run: Run, model: str) -> Summary | None:
    """Return a model's figures; None if no round of it was measured."""
    import numpy as np

    legs = complete(run, model)
    if not legs:
        return None
    makespans = [makespan(leg.trace) for leg in legs]
    sojourns = np.concatenate([sojourn_times(leg.trace) for leg in legs])
    p50, p99 = (float(value) for value in np.percentile(sojourns, [50, 99]))
    overheads = [overhead(leg, twin, cores(run, leg)) for leg, twin in pairs(run, model, SEQUENTIAL)]
    typical = middle(makespans)
    return Summary(
        model=model,
        rounds=len(legs),
        makespan=typical.value,
        interval=typical,
        fastest=min(makespans),
        slowest=max(makespans),
        speedup=Interval(1.0, 1.0, 1.0) if model == SEQUENTIAL else compared(run, model, SEQUENTIAL),
        throughput=len(legs[0].trace) / typical.value if typical.value else math.inf,
        p50=p50,
        p99=p99,
        overhead=median(overheads) if overheads else None,
        resources=Resources(
            cpu=median(leg.resources.cpu for leg in legs),
            memory=max(leg.resources.memory for leg in legs),
            threads=max(leg.resources.threads for leg in legs),
            processes=max(leg.resources.processes for leg in legs),
            switches=round(median(leg.resources.switches for leg in legs)),
        ),
        startup=legs[0].startup,
        failed=sum(row.error is not None for leg in legs for row in leg.trace),
        outliers=tuple(legs[index].round for index in outliers(makespans)),
    )
