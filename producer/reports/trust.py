"""How far a run's figures can be trusted, in sentences: noise, outliers, clocks, and what measuring costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median, stdev

from producer.measurement.clocks import Offset
from producer.measurement.environment import Environment
from producer.measurement.noise import Noise
from producer.measurement.run import Run
from producer.measurement.summary import SEQUENTIAL, Interval, Summary, complete, makespan
from producer.reports.words import counted, listed, percent, seconds

#: A load before the run above this share of the cores is told.
_BUSY = 0.5
#: Shares of the machine's CPU time during the run that are told: of other programs, and of other machines.
_OTHERS, _STOLEN = 0.1, 0.02
#: CPU seconds of all cores below which their ticks of 10 ms say nothing.
_LEAST = 1.0
#: Measuring is told where it is more than this share of what the fastest model takes for a call.
_MEASURING = 0.01
#: Outliers that are told one by one.
_MOST_OUTLIERS = 3


def trust(run: Run, summaries: Sequence[Summary], claimed: Sequence[Interval]) -> list[str]:
    """Return what limits the trust in a run; nothing where nothing does.

    Args:
        run: the run.
        summaries: the figures of its models.
        claimed: the differences that its findings claim, as ratios.
    """
    sentences = []
    if all(summary.rounds < 2 for summary in summaries):
        sentences.append("One round tells nothing about noise: --rounds 3 or more gives intervals.")
    return [
        *sentences,
        *_noise(run, claimed),
        *_outliers(run, summaries),
        *_measuring(run, summaries),
        *_clocks(run),
    ]


def busy(environment: Environment) -> str | None:
    """Say that the machine was busy before anything was measured; None if it was not, or does not tell."""
    load, cores = environment.load, environment.cores_in_reach
    if load is None or load <= _BUSY * cores:
        return None
    return (
        f"The machine was busy before the run (load {load:.1f} on {counted(cores, 'core')}): what else runs "
        "there widens the intervals."
    )


def disturbed(noise: Noise | None) -> str | None:
    """Say what else the machine did while it was measured; None if that is nothing to speak of."""
    found = disturbances([] if noise is None else [noise])
    if not found:
        return None
    return (
        f"During the run {listed([text for _, text in found])}: that widens the intervals, and a difference "
        f"of less than {percent(max(share for share, _ in found))} may come from it."
    )


def disturbances(noises: Sequence[Noise]) -> list[tuple[float, str]]:
    """Return who else took more of the CPU time than should be passed over: what share, and in words."""
    capacity = math.fsum(noise.capacity for noise in noises)
    if capacity < _LEAST:
        return []
    others = math.fsum(noise.others for noise in noises) / capacity
    stolen = math.fsum(noise.stolen for noise in noises) / capacity
    found = []
    if others > _OTHERS:
        found.append((others, f"other programs took {percent(others)} of the CPU time"))
    if stolen > _STOLEN:
        found.append((stolen, f"other virtual machines took {percent(stolen)} of the CPU time"))
    return found


def _noise(run: Run, claimed: Sequence[Interval]) -> list[str]:
    """Say what disturbed the run, and whether a difference that is claimed is smaller than that."""
    found = disturbances([leg.noise for leg in run.legs if leg.noise is not None])
    differences = [math.exp(abs(math.log(ratio.value))) - 1 for ratio in claimed]
    makespans = [makespan(leg.trace) for leg in complete(run, SEQUENTIAL)]
    if differences and len(makespans) > 1:
        spread = stdev(makespans) / median(makespans)
        if spread > min(differences):
            found.append((spread, f"sequential's own rounds vary by {percent(spread)}"))
    if not found:
        return []
    what = listed([text for _, text in found])
    if differences and min(differences) < max(share for share, _ in found):
        return [
            f"The machine was too noisy for a difference of {percent(min(differences))}; do not rely on it: "
            f"{what}."
        ]
    return [f"During the run {what}: that widens the intervals."]


def _outliers(run: Run, summaries: Sequence[Summary]) -> list[str]:
    found = [
        f"round {leg.round} of {summary.model} ({seconds(makespan(leg.trace))})"
        for summary in summaries
        for leg in complete(run, summary.model)
        if leg.round in summary.outliers
    ]
    if not found:
        return []
    shown = found[:_MOST_OUTLIERS]
    if len(found) > len(shown):
        shown.append(counted(len(found) - len(shown), "other"))
    return [f"Far from the other rounds, and counted like them: {listed(shown)}."]


def _measuring(run: Run, summaries: Sequence[Summary]) -> list[str]:
    """Say what measuring costs, where a call is so short that it shows."""
    if run.measuring is None or not run.calls:
        return []
    fastest = min(summaries, key=lambda summary: summary.makespan)
    call = fastest.makespan / len(run.calls)
    if not call or run.measuring / call < _MEASURING:
        return []
    return [
        f"Measuring costs a worker {seconds(run.measuring)} in each call: {percent(run.measuring / call)} of "
        f"what a call takes on {fastest.model}."
    ]


def _clocks(run: Run) -> list[str]:
    sentences = []
    best: dict[str, Offset] = {}
    for leg in run.legs:
        if leg.trace.step:
            sentences.append(
                f"The clock was set {'forward' if leg.trace.step > 0 else 'back'} by "
                f"{seconds(abs(leg.trace.step))} during round {leg.round} of {leg.model}: its times are "
                "wrong by that."
            )
        for host, offset in leg.trace.offsets.items():
            if host not in best or offset.uncertainty < best[host].uncertainty:
                best[host] = offset
    for host, offset in best.items():
        if offset.told:
            where = "ahead of" if offset.value > 0 else "behind"
            sentences.append(
                f"The clock of worker host {host} is {seconds(abs(offset.value))} {where} this machine's, "
                f"give or take {seconds(offset.uncertainty)}: the times of its calls are corrected by that."
            )
    agree = {host: offset for host, offset in best.items() if not offset.told}
    if agree:
        # The true offset is within value ± uncertainty, so no further from zero than this.
        most = max(abs(offset.value) + offset.uncertainty for offset in agree.values())
        sentences.append(
            f"{'Clocks' if len(agree) > 1 else 'The clock'} of other worker hosts: "
            f"{listed(list(agree))} and this machine agree within {seconds(most)}."
        )
    return sentences
