"""An event loop's heartbeat as a table, and what it says in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from rich import box
from rich.table import Table

from producer.experiments.blocking import COMPUTING, IDLE, RELEASING, Heartbeats, Leg
from producer.measurement.summary import SEQUENTIAL, Interval, ratio
from producer.models import MODELS
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, confidence, counted, digits, listed, percent, seconds

_LEGEND = (
    "returns: for how long making a call holds the loop, median. makespan: from the first call to the last "
    "result, median. beats: that were due meanwhile, in all rounds. p50, p99, max: by how much they came "
    "late, counted from when each was due. missed: those that came when the next one was due already."
)
_METHOD = (
    "An event loop made all calls of a leg at once, in one way, again and again for as long as the leg "
    "lasted, while its heart was to beat. Beat k was due at the start + k periods, whatever became of the "
    "beats before: a loop that stood still owes every beat of that time. Each round goes through all "
    "ways, in an order that is shuffled by the seed. A way disturbs the heart where the ratio of its p99 "
    "to that of idle in the same rounds is above 1 with 99 % confidence (Student's t over the rounds' "
    "logarithms), and the p99 is 2 ms or more."
)
#: The heart stopped where at least this share of its beats was missed.
_STOPPED = 0.5
#: A p99 below this many seconds is no disturbance that anybody would notice, whatever it is beside idle.
_NOTICED = 0.002
_THREADS = ("thread-per-request", "thread-pool")


@dataclass(frozen=True, slots=True)
class Beat:
    """How the heart beat during one kind of work made in one way, over all rounds. Times are in seconds.

    Attributes:
        way: the model, or `idle`.
        returns: for how long making a call held the loop.
        makespan: median over the rounds.
        beats: that were due.
        missed: that came when the next one was due.
        p50, p99, latest: by how much beats came late.
        beside_idle: p99 against that of idle in the same rounds.
    """

    way: str
    returns: float
    makespan: float
    beats: int
    missed: int
    p50: float
    p99: float
    latest: float
    beside_idle: Interval | None

    @property
    def stopped(self) -> bool:
        """Whether the heart stood still for most of the time."""
        return self.missed >= _STOPPED * self.beats

    @property
    def disturbed(self) -> bool:
        """Whether beats came late by more than noise, and by enough to notice."""
        above = self.beside_idle is not None and self.beside_idle.excludes(1.0) and self.beside_idle.value > 1
        return above and self.p99 >= _NOTICED and not self.stopped


def beats(result: Heartbeats, work: str) -> dict[str, Beat]:
    """Return how the heart beat during one kind of work, by the way in which calls were made."""
    idle = {leg.round: _p99(leg) for leg in result.of(work, IDLE) if leg.lateness}
    found = {}
    for way in (IDLE, *result.models):
        # Calls that failed were not made: what the heart did meanwhile says nothing of them.
        legs = [leg for leg in result.of(work, way) if leg.lateness and not leg.failed_all]
        if legs:
            found[way] = _beat(way, legs, idle)
    return found


def _beat(way: str, legs: list[Leg], idle: dict[int, float]) -> Beat:
    import numpy as np

    lateness = np.concatenate([leg.lateness for leg in legs]) / 1e6
    p50, p99, latest = (float(value) for value in np.percentile(lateness, [50, 99, 100]))
    both = [leg for leg in legs if leg.round in idle] if way != IDLE else []
    return Beat(
        way=way,
        returns=median(leg.held for leg in legs),
        makespan=median(leg.makespan for leg in legs),
        beats=len(lateness),
        missed=sum(leg.missed for leg in legs),
        p50=p50,
        p99=p99,
        latest=latest,
        beside_idle=ratio([_p99(leg) for leg in both], [idle[leg.round] for leg in both]) if both else None,
    )


def _p99(leg: Leg) -> float:
    import numpy as np

    # A beat can be early by the clock's resolution; ratios need something above zero.
    return max(1.0, float(np.percentile(leg.lateness, 99))) / 1e6


def report(result: Heartbeats) -> Report:
    """Return what there is to say of a loop's heartbeat."""
    return Report(
        result=result,
        title=f"blocking: a heartbeat every {seconds(result.period)}, "
        f"{counted(result.settings['workers'], 'worker')}, {counted(result.settings['rounds'], 'round')}",
        tables=lambda console: [
            table
            for work in result.works
            if (found := beats(result, work))
            for table in fitted(partial(_table, work, found), _COLUMNS, console)
        ],
        legend=_LEGEND,
        findings=findings(result),
        problems=result.problems,
        method=_METHOD,
    )


_COLUMNS: Sequence[tuple[str, Callable[[Beat], str]]] = (
    ("returns", lambda beat: NONE if beat.way == IDLE else seconds(beat.returns)),
    ("makespan", lambda beat: NONE if beat.way == IDLE else seconds(beat.makespan)),
    ("beats", lambda beat: f"{beat.beats:,}"),
    ("p50", lambda beat: seconds(beat.p50)),
    ("p99", lambda beat: seconds(beat.p99)),
    ("max", lambda beat: seconds(beat.latest)),
    ("missed", lambda beat: f"{beat.missed:,}"),
)


def _table(work: str, found: dict[str, Beat], columns: Sequence[tuple[str, Callable[[Beat], str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(work, no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for way, beat in found.items():
        table.add_row(way, *(of(beat) for _, of in columns), style="red" if beat.stopped else "")
    return table


def findings(result: Heartbeats) -> list[str]:
    """Return what the heartbeat says of blocking and not, synchronous and not."""
    found = {work: beats(result, work) for work in result.works}
    sentences = []
    for work, by_way in found.items():
        if len(by_way) > (IDLE in by_way):
            rounds = len({leg.round for leg in result.legs if leg.work == work})
            sentences += _stopped(work, by_way)
            sentences += [*_beat_on(work, by_way, rounds), *_disturbed(result, work, by_way)]
    return [*sentences, *_gil(result, found), *_words(found)]


def _stopped(work: str, by_way: dict[str, Beat]) -> list[str]:
    words = [
        f"{way} ({beat.missed:,} of {beat.beats:,} beats missed, the latest by {seconds(beat.latest)})"
        for way, beat in by_way.items()
        if beat.stopped
    ]
    return [f"{work}: the heart stopped with {listed(words)}."] if words else []


def _beat_on(work: str, by_way: dict[str, Beat], rounds: int) -> list[str]:
    others = [beat for way, beat in by_way.items() if way != IDLE and not beat.stopped and not beat.disturbed]
    if not others:
        return []
    p99 = listed([f"{beat.way} {seconds(beat.p99)}" for beat in others])
    if IDLE in by_way:
        p99 += f"; idle {seconds(by_way[IDLE].p99)}"
    if not any(beat.beside_idle is not None and beat.beside_idle.known for beat in others):
        return [f"{work}: it did not stop, p99: {p99}. One round does not tell what of that is noise."]
    return [
        f"{work}: it beat on; no lateness of {seconds(_NOTICED)} or more can be told from noise in "
        f"{counted(rounds, 'round')}, p99: {p99}."
    ]


def _disturbed(result: Heartbeats, work: str, by_way: dict[str, Beat]) -> list[str]:
    words = []
    for way, beat in by_way.items():
        if beat.disturbed and beat.beside_idle is not None:
            words.append(
                f"{way} (p99 {seconds(beat.p99)}, {digits(beat.beside_idle.value)} times idle's, "
                f"{confidence(beat.beside_idle)}; {percent(beat.missed / beat.beats)} missed)"
            )
    if not words:
        return []
    cores, workers = result.environment.cores_in_reach, result.settings["workers"]
    shared = work in (COMPUTING, RELEASING) and workers >= cores
    why = f" With {workers} workers on {cores} cores the loop has to share its core." if shared else ""
    return [f"{work}: it was disturbed, by more than noise, with {listed(words)}.{why}"]


def _gil(result: Heartbeats, found: dict[str, dict[str, Beat]]) -> list[str]:
    """Compare threads that compute in Python with the same threads that compute in C."""
    if not result.environment.gil:
        return []
    words = []
    for way in _THREADS:
        python, c = found.get(COMPUTING, {}).get(way), found.get(RELEASING, {}).get(way)
        if python is None or c is None or python.p99 <= c.p99:
            continue
        if python.disturbed or python.stopped:
            words.append(f"{way} {seconds(python.p99)} in Python, {seconds(c.p99)} in C")
    if not words:
        return []
    return [
        f"What the GIL does to the loop, as p99: {'; '.join(words)}. A thread that computes in Python lets "
        f"go of the GIL when another has waited for {seconds(result.switch_interval)}, and then it may go to "
        "yet another; C code that releases the GIL competes for the cores alone."
    ]


def _words(found: dict[str, dict[str, Beat]]) -> list[str]:
    """Say what the words mean, each by a figure."""
    sentences = []
    for work, by_way in found.items():
        sync = by_way.get(SEQUENTIAL)
        later = [beat for way, beat in by_way.items() if way not in (IDLE, SEQUENTIAL) and not beat.stopped]
        if sync is None or not later or sync.returns < 100 * min(beat.returns for beat in later):
            continue
        one = min(later, key=lambda beat: beat.makespan)
        sentences.append(
            f"Synchronous: a call returned after {seconds(sync.returns)}, with its result ({SEQUENTIAL}, "
            f"{work}). Asynchronous: it returned after {seconds(one.returns)}, and the last result was there "
            f"{seconds(one.makespan)} after the first call ({one.way})."
        )
        sentences.append(
            f"Blocking: the loop could do nothing else meanwhile, {percent(sync.missed / sync.beats)} of its "
            f"beats were missed ({SEQUENTIAL}). Non-blocking: {percent(one.missed / one.beats)} ({one.way})."
        )
        break
    for work, by_way in found.items():
        for way, beat in by_way.items():
            if way != IDLE and MODELS[way].asynchronous and beat.stopped:
                sentences.append(
                    f"Asynchronous does not mean non-blocking: {work} in coroutines, a call returned after "
                    f"{seconds(beat.returns)}, and the heart stopped all the same: they had nothing to await."
                )
                return sentences
    return sentences
