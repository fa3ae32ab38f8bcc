"""An overload as tables, and what it says in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table

from producer.experiments.overload import FROM, MOST_CALLS, TO, Leg, Overload, sojourn
from producer.measurement.latencies import percentiles
from producer.measurement.summary import SEQUENTIAL
from producer.measurement.windows import Window
from producer.models.variants import BLOCKING, REJECTING
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, counted, digits, listed, megabytes, percent, seconds

_LEGEND = (
    "capacity: calls/s that the model can serve. behind: from which multiple of it on the model did not keep "
    "up any more (5 % of the calls refused, or half of them 3 times as long under way as a call that is "
    "alone). p50, p99: sojourn time of the calls that were served, from their arrival. backlog: calls "
    "that had arrived and not ended. threads, memory: of all processes involved, at their peak; growth: of "
    "memory. Over time, in seconds since the first arrivals: ×: the rate of arrivals, in multiples of the "
    "capacity; p50, p99: of the calls that arrived then; outside: of the backlog, what submit had not taken."
)
_REMOTE = (
    "Workers and broker are those that CELERY_BROKER_URL names: their threads and memory are not counted."
)
_RAMP = (
    f"Then calls arrive at a rate that grows from {FROM:g} to {TO:g} times that, whether those before have"
    " ended or not (open loop); a sojourn time begins when a call was due to arrive, also where the "
    f"sender was late or had to wait. A ramp of more than {MOST_CALLS:,} calls is shortened. What is left "
    "at its end is waited for, for about as long again; calls that have not ended then count with what "
    "they have waited."
)
_MEASURED = (
    "One model after the other is opened and warmed up. Its capacity is measured right before its load, "
    "with ever more calls in progress at once until that is no faster; pools of threads share one "
    "measurement."
)
_GIVEN = "One model after the other is opened and warmed up. Its capacity was given (--rate), not measured."
#: Models whose `submit` waits by design.
_BLOCKING = (SEQUENTIAL, BLOCKING.name)
#: Columns of a table over time, at most.
_MOMENTS = 9


def report(result: Overload) -> Report:
    """Return what there is to say of an overload."""
    settings = result.settings
    return Report(
        result=result,
        title=(
            f"overload: {result.workload}, {counted(settings['workers'], 'worker')}, "
            f"{settings['arrivals']} arrivals from {FROM:g} to {TO:g} times the capacity"
        ),
        tables=lambda console: _tables(result, console),
        legend=f"{_LEGEND} {_REMOTE}" if settings.get("remote") else _LEGEND,
        findings=findings(result),
        method=f"{_MEASURED if settings['capacity'] is None else _GIVEN} {_RAMP}",
    )


def _tables(result: Overload, console: Console) -> list[Table]:
    tables = fitted(lambda columns: _summary(result, columns), list(_SUMMARY), console)
    return [*tables, *(_fitting(leg, console) for leg in result.legs)]


def _fitting(leg: Leg, console: Console) -> Table:
    """Return a table over time with as many moments as the console is wide for."""
    for count in range(_MOMENTS, 1, -1):
        found = fitted(partial(_over_time, leg), _moments(leg, count), console)
        if len(found) == 1:
            return found[0]
    return _over_time(leg, _moments(leg, 1))


_SUMMARY: dict[str, Callable[[Leg], str]] = {
    "capacity": lambda leg: digits(leg.capacity),
    "behind": lambda leg: NONE if leg.fell_behind is None else f"{leg.multiple(leg.fell_behind):.1f} ×",
    "arrived": lambda leg: f"{len(leg.load.trace):,}",
    "served": lambda leg: f"{len(leg.served):,}",
    "refused": lambda leg: f"{len(leg.load.refused):,}",
    "p50": lambda leg: _percentile(leg, 50),
    "p99": lambda leg: _percentile(leg, 99),
    "backlog": lambda leg: f"{max(window.backlog for window in leg.windows):,}",
    "threads": lambda leg: f"{leg.resources.threads:,}",
    "memory": lambda leg: megabytes(leg.resources.memory),
    "growth": lambda leg: megabytes(_growth(leg)),
}


def _percentile(leg: Leg, which: float) -> str:
    found = sojourn(leg, which)
    return NONE if found is None else seconds(found[0])


def _summary(result: Overload, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for leg in result.legs:
        table.add_row(leg.model, *(_SUMMARY[name](leg) for name in columns))
    return table


_OVER_TIME: dict[str, Callable[[Window], str]] = {
    "arrived/s": lambda window: digits(window.arrived / (window.end - window.start)),
    "served/s": lambda window: digits(window.served / (window.end - window.start)),
    "refused/s": lambda window: digits(window.refused / (window.end - window.start)),
    "backlog": lambda window: f"{window.backlog:,}",
    "outside": lambda window: f"{window.outside:,}",
    "p50": lambda window: NONE if window.p50 is None else seconds(window.p50),
    "p99": lambda window: NONE if window.p99 is None else seconds(window.p99),
    "threads": lambda window: NONE if window.threads is None else f"{window.threads:,}",
    "memory": lambda window: NONE if window.memory is None else megabytes(window.memory),
    "switches/s": lambda window: digits(window.switches),
}


def _moments(leg: Leg, count: int) -> list[Window]:
    """Return so many windows, evenly spread from the first to the last."""
    count = min(count, len(leg.windows))
    return [leg.windows[round(n * (len(leg.windows) - 1) / max(1, count - 1))] for n in range(count)]


def _over_time(leg: Leg, moments: Sequence[Window]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(leg.model, no_wrap=True)
    for window in moments:
        arriving = window.start < leg.until
        multiple = f"{leg.multiple((window.start + window.end) / 2):.1f} ×" if arriving else "after"
        table.add_column(f"{window.start:.1f} s\n{multiple}", justify="right", no_wrap=True)
    for name, cell in _OVER_TIME.items():
        if (name == "refused/s" and not leg.load.refused) or (name == "outside" and not _holds_back(leg)):
            continue
        table.add_row(name, *map(cell, moments))
    return table


def findings(result: Overload) -> list[str]:
    """Return what an overload says, each in a sentence that is computed from it."""
    if not result.legs:
        return []
    sentences = [_who_kept_up(result)]
    for leg in result.legs:
        if leg.load.trace:
            sentences += [sentence for say in _SAYINGS for sentence in say(leg, result)]
    return sentences


def _who_kept_up(result: Overload) -> str:
    behind = [leg for leg in result.legs if leg.fell_behind is not None]
    kept = [
        f"{leg.model} (to {leg.multiple(leg.until):.1f} times its capacity)"
        for leg in result.legs
        if leg.fell_behind is None
    ]
    words = [
        f"{leg.model} at {leg.multiple(leg.fell_behind or 0.0):.1f} times its capacity (after "
        f"{seconds(leg.fell_behind or 0.0)})"
        for leg in sorted(behind, key=lambda leg: leg.multiple(leg.fell_behind or 0.0))
    ]
    sentence = f"Stopped keeping up: {'; '.join(words)}." if words else "No model stopped keeping up."
    return f"{sentence} Kept up until the arrivals ended: {listed(kept)}." if kept else sentence


def _limit(leg: Leg, _: Overload) -> list[str]:
    if not leg.limit:
        return []
    return [
        f"{leg.model}: the safety limit of {leg.limit} ended the arrivals after {seconds(leg.until)}, at "
        f"{leg.multiple(leg.until):.1f} times the capacity."
    ]


def _grew(leg: Leg, _: Overload) -> list[str]:
    """Say what grew with a backlog in this process: threads, memory, context switches, sojourn times."""
    if leg.fell_behind is None or leg.model in (BLOCKING.name, REJECTING.name) or leg.in_broker:
        return []
    windows = [window for window in leg.windows if window.threads is not None]
    arriving = [window for window in windows if window.start < leg.until]
    if not arriving:
        return []
    first, switches = arriving[0], max(window.switches for window in arriving)
    grown = [f"the backlog grew to {counted(max(window.backlog for window in windows), 'call')}"]
    fewest, most = first.threads or 0, max(window.threads or 0 for window in windows)
    if most > 2 * fewest:
        grown.append(f"threads from {fewest:,} to {most:,}")
    if switches > first.switches:
        grown.append(f"context switches from {digits(first.switches)} to {digits(switches)} a second")
    grown += [f"memory by {_size(_growth(leg))}", _waiting_grew(leg)]
    return [f"{leg.model}: {listed(grown)}.{_emptied(leg)}"]


def _blocked(leg: Leg, _: Overload) -> list[str]:
    """Say what it means that `submit` waits: where calls wait, and what a clock that starts late shows."""
    if leg.fell_behind is None or not _holds_back(leg):
        return []
    late = [
        row.delivered - sent
        for row, sent in zip(leg.load.trace, leg.load.sent, strict=True)
        if sent is not None and row.finished is not None
    ]
    hidden = ""
    if late and leg.served:
        shown, true = percentiles(late, 99)[0], percentiles(leg.served, 99)[0]
        hidden = (
            f" A clock that starts when submit is called shows a p99 of {seconds(shown)}; from their arrival "
            f"it is {seconds(true)}."
        )
    outside = max(window.outside for window in leg.windows)
    if leg.model not in _BLOCKING:
        return [
            f"{leg.model}: calls came faster than submit returned, although it waits for nothing; up to "
            f"{outside:,} waited for it.{hidden}"
        ]
    inside = max(window.backlog - window.outside for window in leg.windows)
    where = f"no more than {counted(inside, 'call')} were inside" if inside else "submit runs the calls"
    return [
        f"{leg.model}: back-pressure: {where}; up to {outside:,} waited at the door, and whoever sends them "
        f"has to wait or to slow down.{hidden}"
    ]


def _rejected(leg: Leg, result: Overload) -> list[str]:
    """Say what refusing costs, and what it buys."""
    refused, found = len(leg.load.refused), sojourn(leg, 99)
    if not refused or found is None:
        return []
    sentence = (
        f"{leg.model}: refused {refused:,} of {counted(len(leg.load.trace), 'call')} "
        f"({percent(refused / len(leg.load.trace))}), and kept the p99 of the others at {seconds(found[0])}"
    )
    other = next((other for other in result.legs if other.model == "thread-pool" and other is not leg), None)
    theirs = sojourn(other, 99) if other else None
    if theirs is not None and leg.model == REJECTING.name:
        return [f"{sentence}; without a bound it is {seconds(theirs[0])}."]
    return [f"{sentence}."]


def _on_broker(leg: Leg, result: Overload) -> list[str]:
    """Say where a broker queue's backlog is, and what a worker did that was added."""
    if not leg.in_broker:
        return []
    most = max(waiting.messages for waiting in leg.in_broker)
    joined = leg.added is not None and leg.added.ready is not None
    memory = f"memory grew by {_size(_growth(leg))}{', with the added worker' if joined else ''}"
    sentences = [
        f"{leg.model}: up to {counted(most, 'message')} waited in the broker; {memory}, {_waiting_grew(leg)}."
        f"{_emptied(leg)}"
    ]
    if result.settings["remote"]:
        sentences.append(
            f"{leg.model}: no worker was added, since the cluster is the one that CELERY_BROKER_URL names; "
            "start one there, and it takes its share."
        )
    if leg.added is not None:
        sentences.append(_added(leg))
    return sentences


def _added(leg: Leg) -> str:
    added = leg.added
    assert added is not None  # noqa: S101 - for the type checker
    what = f"a worker with {added.processes} {'process' if added.processes == 1 else 'processes'}"
    if added.ready is None:
        why = f": {added.error}" if added.error else ""
        return f"{leg.model}: {what} was to be added, and was not ready in time{why}."
    before = _rate(leg, leg.fell_behind or 0.0, added.ready)
    after = _rate(leg, added.ready, leg.load.ended)
    told = f"{leg.model}: {what}, started at {seconds(added.began)} and ready at {seconds(added.ready)}, "
    if before is None or after is None:
        return f"{told}found no backlog to work on."
    return (
        f"{told}took the calls served in a second from {digits(before)} to {digits(after)}, as long as there "
        "was a backlog."
    )


def _rate(leg: Leg, start: float, end: float) -> float | None:
    """Return the calls a second served in the full windows of a stretch, as long as there was a backlog."""
    busy = [w for w in leg.windows if w.start >= start and w.end <= end and w.backlog > w.served]
    if not busy:
        return None
    return sum(window.served for window in busy) / sum(window.end - window.start for window in busy)


def _unreached(leg: Leg, _: Overload) -> list[str]:
    if leg.reached:
        return []
    return [
        f"{leg.model}: more calls at once would have been served faster still; its capacity is more than the "
        f"{digits(leg.capacity)} calls/s that were taken for it."
    ]


def _failed(leg: Leg, _: Overload) -> list[str]:
    others = {*leg.load.refused, *leg.load.left}
    failed = [row.error for row in leg.load.trace if row.error is not None and row.call not in others]
    if not failed:
        return []
    return [f"{leg.model}: {counted(len(failed), 'call')} failed, the first with {failed[0]}."]


def _late_sender(leg: Leg, _: Overload) -> list[str]:
    """Say where the sender was the limit, and not the model."""
    lateness, found = leg.load.lateness(), sojourn(leg, 99)
    if not lateness or found is None:
        return []
    late = percentiles(lateness, 99)[0]
    if late < 0.01 or late < 0.1 * found[0]:
        return []
    return [
        f"{leg.model}: the sender itself was up to {seconds(late)} late (p99), beside a p99 of "
        f"{seconds(found[0])} in all: a part of the waiting is its own."
    ]


_SAYINGS: tuple[Callable[[Leg, Overload], list[str]], ...] = (
    _limit,
    _grew,
    _blocked,
    _rejected,
    _on_broker,
    _unreached,
    _failed,
    _late_sender,
)


def _growth(leg: Leg) -> int:
    return max(0, leg.resources.memory - leg.samples[0].memory) if leg.samples else 0


def _waiting_grew(leg: Leg) -> str:
    told = [w.p99 for w in leg.windows if w.p99 is not None]
    if not told:
        return "no call was served"
    return f"the p99 from {seconds(told[0])} to {seconds(max(told))}"


def _emptied(leg: Leg) -> str:
    """Say how the backlog ended, where there was one when the arrivals did."""
    if leg.load.interrupted:
        return ""
    if leg.load.left and leg.load.stopped:
        return f" {counted(len(leg.load.left), 'call')} that had arrived by then had not been taken."
    if leg.load.left:
        return (
            f" {counted(len(leg.load.left), 'call')} had not ended {seconds(leg.load.ended - leg.until)} "
            "after the last arrival, and were given up."
        )
    return f" The last call ended {seconds(max(0.0, leg.load.ended - leg.until))} after the last arrival."


def _holds_back(leg: Leg) -> bool:
    """Tell whether it is `submit` that most calls wait for where the backlog is longest."""
    peak = max(leg.windows, key=lambda window: window.backlog)
    return peak.outside > peak.backlog / 2


def _size(growth: int) -> str:
    return megabytes(growth) if growth >= 1e6 else "less than 1 MB"
