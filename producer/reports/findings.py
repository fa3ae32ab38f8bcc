"""What a run says, in sentences. Each is computed from the run; what the data does not say is not said."""

from __future__ import annotations

import math
from dataclasses import dataclass

from producer.measurement.run import Run
from producer.measurement.summary import (
    SEQUENTIAL,
    Interval,
    Summary,
    compared,
    complete,
    makespan,
    ranked,
    service_times,
    summarize,
)
from producer.reports.trust import disturbances, trust
from producer.reports.words import confidence, digits, listed, percent, seconds

#: What findings are about.
WINNER, BOUND, OVERHEAD, TRUST = "winner", "bound", "overhead", "trust"
#: The local models that share work among threads, processes or interpreters.
_LOCAL = ("thread-per-request", "thread-pool", "process-pool", "interpreter-pool")
#: Those that send calls to Celery workers.
_BROKER = ("broker-queue", "broker-queue-batched")
#: Start-up below this many seconds goes unmentioned.
_STARTUP = 0.01
#: The work computes where sequential keeps a core busy for at least this share of its makespan, and waits
#: where it does so for at most that share. Between the two it does both.
_COMPUTES, _WAITS = 0.8, 0.2


def findings(run: Run) -> list[str]:
    """Return what the run says, the most important first.

    Models whose results were wrong, or whose calls failed, are not ranked.
    """
    return [sentence for sentences in by_topic(run).values() for sentence in sentences]


def by_topic(run: Run) -> dict[str, list[str]]:
    """Return what `findings` says by what it is about, the most important first."""
    if not run.legs:
        return {}
    wrong = {problem.model for problem in run.problems}
    summaries = [s for model in run.models if model not in wrong and (s := summarize(run, model)) is not None]
    if not summaries:
        return {WINNER: ["No model returned all the right results: there is nothing to compare."]}
    order = ranked(summaries)
    return {
        WINNER: _winner(run, order),
        BOUND: [*_bound(run, order), *_gil(run, order)],
        OVERHEAD: [*_broker(order), *_latency(run, order)],
        TRUST: [*_startup(run, summaries), *trust(run, summaries, _claimed(run, order))],
    }


def _winner(run: Run, order: list[Summary]) -> list[str]:
    if len(order) < 2:
        return []
    first, second = order[:2]
    sentences = []
    if first.speedup is None:
        sentences.append(
            f"{first.model} was the fastest, with a median makespan of {seconds(first.makespan)}. "
            "Sequential did not run, so there is no speedup to tell."
        )
    elif first.model == SEQUENTIAL:
        sentences.append(f"Nothing was faster than sequential ({seconds(first.makespan)}).")
    elif not first.speedup.known:
        times = digits(first.speedup.value)
        sentences.append(f"{first.model} was the fastest: {times} times as fast as sequential.")
    elif first.speedup.excludes(1.0):
        sentences.append(
            f"{first.model} was the fastest: {digits(first.speedup.value)} times as fast as sequential "
            f"({confidence(first.speedup)})."
        )
    elif sure := [
        f"{s.model} ({confidence(s.speedup)})" for s in order if s.speedup and _above_one(s.speedup)
    ]:
        sentences.append(
            f"{first.model} was the fastest, {digits(first.speedup.value)} times as fast as sequential, but "
            f"not by more than noise ({confidence(first.speedup)}). More than noise: {listed(sure)}."
        )
    else:
        sentences.append(
            f"No model was faster than sequential by more than noise: the best, {first.model}, was "
            f"{digits(first.speedup.value)} times as fast ({confidence(first.speedup)})."
        )
    lead = compared(run, first.model, second.model)
    if lead is not None and lead.known and SEQUENTIAL not in (first.model, second.model):
        how_sure = f"{digits(lead.value)} times as fast, {confidence(lead)}"
        if lead.excludes(1.0):
            sentences.append(f"Its lead over the runner-up, {second.model}, is more than noise ({how_sure}).")
        else:
            sentences.append(f"Its lead over the runner-up, {second.model}, is within noise ({how_sure}).")
    return sentences


def _claimed(run: Run, order: list[Summary]) -> list[Interval]:
    """Return the differences that are called more than noise."""
    if len(order) < 2:
        return []
    first, second = order[:2]
    ratios = [compared(run, first.model, other) for other in {SEQUENTIAL, second.model} - {first.model}]
    return [ratio for ratio in ratios if ratio is not None and ratio.excludes(1.0)]


@dataclass(frozen=True, slots=True)
class _Work:
    """What the work itself demands, as the sequential model saw it."""

    makespan: float
    service: float
    longest: float
    call: str
    cpu: float

    @property
    def busy(self) -> float:
        """The share of the makespan during which the work kept a core busy."""
        return self.cpu / self.makespan


def longest_bound(run: Run) -> tuple[float, str] | None:
    """Return how many times as fast as sequential anything can be: the longest call alone is left; and it.

    None where sequential did not run.
    """
    work = _work(run)
    return None if work is None or not work.longest else (work.makespan / work.longest, work.call)


def _work(run: Run) -> _Work | None:
    legs = complete(run, SEQUENTIAL)
    if not legs:
        return None
    middle = sorted(legs, key=lambda leg: makespan(leg.trace))[(len(legs) - 1) // 2]
    times = service_times(middle.trace)
    if not times or not all(math.isfinite(time) for time in times):
        return None
    longest = max(range(len(times)), key=times.__getitem__)
    return _Work(
        makespan(middle.trace), math.fsum(times), times[longest], run.calls[longest], middle.resources.cpu
    )


def _bound(run: Run, order: list[Summary]) -> list[str]:
    work = _work(run)
    if work is None or len(order) < 2 or not work.makespan or not work.longest:
        return []
    if work.service < 0.5 * work.makespan:
        known = [summary for summary in order if summary.overhead is not None]
        dear = max(known, key=lambda summary: summary.overhead or 0.0)
        cheap = min(known, key=lambda summary: summary.overhead or 0.0)
        return [
            f"The calls take {percent(work.service / work.makespan)} of sequential's makespan; the rest is "
            f"the handling around them. So this compares overhead: from {seconds(cheap.overhead or 0.0)} "
            f"per call ({cheap.model}) to {seconds(dear.overhead or 0.0)} ({dear.model})."
        ]
    whole = work.makespan / work.longest  # the longest call alone is left
    local = run.environment.cores_in_reach
    by_cores = work.makespan / (work.cpu / local) if work.busy >= _COMPUTES else math.inf
    best = next((s for s in order if s.speedup is not None and s.model != SEQUENTIAL), None)
    # What other programs took is no waiting: with less of a core to be had, less of it means work.
    noises = [leg.noise for leg in complete(run, SEQUENTIAL) if leg.noise is not None]
    taken = math.fsum(share for share, _ in disturbances(noises))
    waits = work.busy <= _WAITS * (1 - taken)
    reached = ""
    if best is not None and best.speedup is not None:
        at_once = max(leg.at_once for leg in complete(run, best.model)) if waits else math.inf
        # What is above the bound is noise.
        share = percent(min(1.0, best.speedup.value / min(whole, by_cores, at_once)))
        reached = f" {best.model} reached {share} of {'its bound' if waits else 'that'}."
    if waits:
        return [
            f"The work waits: sequential kept a core busy for {percent(work.busy)} of its time. So the "
            f"speedup is bounded by how many calls wait at once: {digits(whole)} with all of them, "
            f"{digits(min(whole, run.settings['workers']))} with {run.settings['workers']} workers.{reached}"
        ]
    if whole <= by_cores:
        return [
            f"The longest call, {work.call}, is {percent(work.longest / work.service)} of the work: no pool "
            f"of any size can be more than {digits(whole)} times as fast as sequential.{reached}"
        ]
    return [
        f"The work computes: sequential kept a core busy for {percent(work.busy)} of its time. So {local} "
        f"cores allow a speedup of at most {digits(by_cores)}.{reached}"
    ]


def _gil(run: Run, order: list[Summary]) -> list[str]:
    """Say what the GIL did to work that computes, or that there is none."""
    by_name = {summary.model: summary for summary in order}
    threads, processes = by_name.get("thread-pool"), by_name.get("process-pool")
    work = _work(run)
    if threads is None or threads.speedup is None or work is None or work.busy < _COMPUTES:
        return []
    gained = digits(threads.speedup.value)
    if _above_one(threads.speedup):
        why = "the calls release the GIL" if run.environment.gil else "this Python has no GIL"
        return [f"thread-pool was {gained} times as fast as sequential at work that computes: {why}."]
    if processes is None or processes.speedup is None or not run.environment.gil:
        return []
    lead = compared(run, "process-pool", "thread-pool")
    if lead is None or not _above_one(lead) or not _above_one(processes.speedup):
        return []
    return [
        f"thread-pool gained nothing ({gained} times sequential) where process-pool did "
        f"({digits(processes.speedup.value)}): the GIL lets one thread at a time run Python code. "
        "`producer gil` measures what that costs."
    ]


def _above_one(of: Interval) -> bool:
    """Tell whether a ratio is above one by more than noise."""
    return of.excludes(1.0) and of.value > 1.0


def _broker(order: list[Summary]) -> list[str]:
    brokers = [s for s in order if s.model in _BROKER and s.overhead is not None]
    pools = [s for s in order if s.model in _LOCAL and s.overhead is not None]
    if not brokers or not pools:
        return []
    best = min(pools, key=lambda summary: summary.overhead or 0.0)
    if min((best.overhead or 0.0), *(s.overhead or 0.0 for s in brokers)) <= 0:
        return []  # below the noise of the calls themselves
    costs = [f"{s.model} {seconds(s.overhead or 0.0)}" for s in brokers]
    return [
        f"Overhead per call: {listed(costs)}, against {seconds(best.overhead or 0.0)} on {best.model}, "
        "the best local pool."
    ]


def _latency(run: Run, order: list[Summary]) -> list[str]:
    """Say what the way to the broker costs a call, in round trips: a message needs some of them."""
    trip: float = run.settings.get("round_trip") or 0.0
    costs = [
        f"{digits(s.overhead / trip)} on {s.model}"
        for s in order
        if trip and s.model in _BROKER and s.overhead is not None and s.overhead > 0
    ]
    if not costs:
        return []
    return [
        f"A round trip to the broker took {seconds(trip)}; the overhead of a call is that many of them: "
        f"{listed(costs)}."
    ]


def _startup(run: Run, summaries: list[Summary]) -> list[str]:
    costs = [f"{s.model} {seconds(s.startup)}" for s in summaries if s.startup >= _STARTUP]
    if run.cluster_startup is not None:
        costs.append(f"the embedded cluster {seconds(run.cluster_startup)}")
    return [f"Start-up, part of no figure above: {listed(costs)}."] if costs else []
