"""The broker queue on clusters of growing size: tables, and what limits, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.experiments.kind import KINDS
from producer.experiments.scale import COMPUTES, Layout, Point, Scaling
from producer.measurement.scalability import FEWEST, Law
from producer.measurement.summary import Interval
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, counted, digits, interval, listed, percent, seconds

_LEGEND = (
    "calls/s: mean over the rounds. efficiency: throughput of each process, against that of one alone. law: "
    "calls/s by the universal scalability law, fitted to the clusters of one worker."
)
_LAW = (
    f"To the clusters of one worker the universal scalability law (Gunther 2007) is fitted, from {FEWEST} "
    "sizes on, with 95 % intervals from fits to resampled residuals."
)
_QUEUES = (
    "each queue is warmed up and runs its calls, all submitted at once; the CPU time of those that can be "
    f"seen is taken meanwhile. Efficiency is taken within a round, and averaged as logarithms. {_LAW}"
)
_METHOD = (
    "In each round all clusters are started anew, one after the other, in an order that is shuffled by the "
    f"seed. On each, {_QUEUES}"
)
#: Of a cluster that was there, whose workers can't be varied.
_REMOTE = (
    "In each round each number of messages is let under way to the cluster, in an order that is shuffled by "
    f"the seed. With each, {_QUEUES}"
)
#: The efficiency from which on nothing limits that would be worth a word.
_FINE = 0.9
#: The share of the time from which on the cores together, the producer or the broker alone, are used up.
_FULL = 0.85


def report(result: Scaling) -> Report:
    """Return what there is to say of growing clusters."""
    rounds = max((point.round for point in result.points), default=0)
    most = max(layout.processes for layout in result.layouts)
    return Report(
        result=result,
        title=(f"scale: {listed(list(result.works))}, up to {_processes(most)}, {counted(rounds, 'round')}"),
        tables=lambda console: _tables(result, console),
        legend=_LEGEND if result.points else "",
        findings=findings(result),
        problems=result.problems,
        method=_REMOTE if result.settings["remote"] else _METHOD,
    )


def _tables(result: Scaling, console: Console) -> list[Table]:
    return [
        table
        for work in result.works
        if any(point.work == work for point in result.points)
        for table in fitted(
            lambda models, work=work: _table(result, work, models),  # type: ignore[misc]
            [model for model in result.models if model not in result.unavailable],
            console,
        )
    ]


def _table(result: Scaling, work: str, models: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    remote = result.settings["remote"]
    table.add_column(work, no_wrap=True)
    laws = {model: result.law(work, model) for model in models}
    for model in models:
        table.add_column(f"{model}\ncalls/s", justify="right", no_wrap=True)
        table.add_column("efficiency", justify="right", no_wrap=True, vertical="bottom")
        if laws[model] is not None:
            table.add_column("law", justify="right", no_wrap=True, vertical="bottom")
    for layout in result.layouts:
        if not any(result.at(work, model, layout) for model in models):
            continue
        cells = [Text(f"{layout.each} under way" if remote else _named(layout))]
        for model in models:
            rate, efficiency = result.rate(work, model, layout), result.efficiency(work, model, layout)
            cells.append(Text(NONE if rate is None else digits(rate)))
            cells.append(Text(NONE if efficiency is None else percent(efficiency.value)))
            law = laws[model]
            if law is not None:
                cells.append(Text(digits(law.throughput(layout.processes)), style="dim"))
        table.add_row(*cells)
    return table


def _named(layout: Layout) -> str:
    processes = _processes(layout.each)
    return processes if layout.workers == 1 else f"{layout.workers} workers with {processes}"


def _processes(number: int) -> str:
    return f"{number} process{'es' if number > 1 else ''}"


def findings(result: Scaling) -> list[str]:
    """Return what the figures say: how far each queue scales, and what limits it."""
    sentences = []
    for work in result.works:
        for model in result.models:
            layouts = result.measured(work, model)
            if layouts and Layout(1, 1) in layouts:
                sentences += _limits(result, work, model, layouts)
        sentences += _several(result, work)
        sentences += _batches(result, work)
    if not sentences:
        return []
    return [*_summary(result), *sentences]


def _summary(result: Scaling) -> list[str]:
    """Say in a line how far each queue scales."""
    parts = []
    for work in result.works:
        told = []
        for model in result.models:
            last = max(result.measured(work, model), key=lambda layout: layout.processes, default=None)
            of = None if last is None else result.efficiency(work, model, last)
            if last is not None and last.processes > 1 and of is not None:
                told.append(f"{model} {percent(of.value)} at {last.processes}")
        if told:
            parts.append(f"{work}: {', '.join(told)}")
    return [f"Efficiency of the most processes: {'; '.join(parts)}."] if parts else []


def _limits(result: Scaling, work: str, model: str, layouts: Sequence[Layout]) -> list[str]:
    """Say how far a queue scales at one kind of work, and what limits it."""
    last = max(layouts, key=lambda layout: layout.processes)
    n = last.processes
    about = f"{work} ({KINDS[work]}) on {model}" if work in KINDS else f"{work} on {model}"
    efficiency, speedup = (
        result.efficiency(work, model, last),
        result.compared(work, model, last, Layout(1, 1)),
    )
    if n == 1 or efficiency is None or speedup is None:
        why = ": there is one core to compute on" if work in COMPUTES else ""
        return [f"{about}: one process alone was measured{why}."]
    doing = "messages under way" if result.settings["remote"] else "processes"
    points = list(result.at(work, model, last).values())
    law = result.law(work, model)
    reached = (
        f"{about}: {n} {doing} have {digits(speedup.value)} times the throughput of one, an efficiency of "
        f"{_share(efficiency)}."
    )
    return [f"{reached} {_limit(result, law, n, efficiency, points)}", *_law(work, model, law, n)]


def _share(of: Interval) -> str:
    bounds = f" (95 % confidence: {percent(of.low)} to {percent(of.high)})" if of.known else ""
    return f"{percent(of.value)}{bounds}"


def _limit(result: Scaling, law: Law | None, n: int, efficiency: Interval, points: Sequence[Point]) -> str:
    """Name what limits, by the law's terms and by who was busy."""
    short = _short(result, points)
    if efficiency.value >= _FINE:
        return f"{short or 'Nothing limits it yet.'} {_cost(result, points)}"
    sentences = []
    if law is not None:
        queued, settled = law.losses(n)
        name, of, loss = (
            ("contention (σ)", law.contention, queued)
            if queued >= settled
            else ("coherency (κ)", law.coherency, settled)
        )
        if of.low > 0:
            share = percent(loss / (queued + settled))
            sentences.append(f"By the law {name} limits it, with {share} of what is lost.")
        else:
            sentences.append("By the law, contention (σ) and coherency (κ) can't be told from noise.")
    return " ".join([*sentences, short or _unused(result, points), _cost(result, points)])


def _busy(result: Scaling, points: Sequence[Point]) -> tuple[float, float, float]:
    """Return for what share of the time the cores were busy, and producer and broker a core each."""
    time = sum(point.makespan for point in points)
    cores = result.environment.cores_in_reach
    return (
        sum(point.cpu.total for point in points) / (time * cores),
        sum(point.cpu.producer for point in points) / time,
        sum(point.cpu.broker or 0.0 for point in points) / time,
    )


def _short(result: Scaling, points: Sequence[Point]) -> str | None:
    """Say what is used up: the cores, the producer, or the broker; None if nothing is that can be seen."""
    whole, producer, broker = _busy(result, points)
    cores = result.environment.cores_in_reach
    machine = sum(point.cpu.machine for point in points) / (cores * sum(point.makespan for point in points))
    seen = not result.settings["remote"]
    if seen and whole >= _FULL:
        return f"The cores are what is short: all {cores} were busy for {percent(whole)} of the time."
    if seen and machine >= _FULL and cores == result.environment.cores:
        return (
            f"The cores are what is short: they were busy for {percent(min(1.0, machine))} of the time, for "
            f"this run for {percent(whole)}, and for other programs otherwise."
        )
    if producer >= _FULL:
        return f"The producer is what is short: it was busy for {percent(producer)} of the time."
    if broker >= _FULL:
        return f"The broker is what is short: it was busy for {percent(broker)} of the time."
    return None


def _unused(result: Scaling, points: Sequence[Point]) -> str:
    """Say that nothing was used up."""
    whole, producer, broker = _busy(result, points)
    if result.settings["remote"]:
        return f"Of what can be seen, the producer was busy for {percent(producer)} of the time."
    return (
        f"Neither the cores (busy for {percent(whole)} of the time) nor the producer ({percent(producer)} of "
        f"one) nor the broker ({percent(broker)}) were used up: calls waited for messages on their way."
    )


def _cost(result: Scaling, points: Sequence[Point]) -> str:
    """Say what CPU time a call cost, whose, and what throughput the cores allow at that."""
    calls = sum(point.calls for point in points)
    parties = {
        "producer": sum(point.cpu.producer for point in points) / calls,
        "broker": sum(point.cpu.broker or 0.0 for point in points) / calls,
        "workers": sum(point.cpu.workers or 0.0 for point in points) / calls,
    }
    if result.settings["remote"]:
        return f"A call took the producer {seconds(parties['producer'])} of CPU time."
    whole = sum(parties.values())
    if not whole:
        return ""
    cores = result.environment.cores_in_reach
    shares = listed([f"{name} {seconds(used)}" for name, used in parties.items()])
    return (
        f"A call took {seconds(whole)} of CPU time ({shares}), so that {counted(cores, 'core')} "
        f"{'allows' if cores == 1 else 'allow'} at most {digits(cores / whole)} calls/s."
    )


def _law(work: str, model: str, law: Law | None, n: int) -> list[str]:
    if law is None:
        return [f"For the universal scalability law, {work} was measured at fewer than {FEWEST} sizes."]
    if law.coherency.low > 0 and law.peak is not None:
        beyond = ", beyond what was measured" if law.peak > n else ""
        peak = f"the most throughput is at N* = {digits(law.peak)} processes{beyond}"
    else:
        peak = "no peak can be told from noise"
    return [
        f"Universal scalability law, {work} on {model}: σ = {_parameter(law.contention)}, κ = "
        f"{_parameter(law.coherency)}; {peak}. Measurements lie {percent(law.error)} off it."
    ]


def _parameter(of: Interval) -> str:
    return f"{of.value:.4f} (95 % confidence: {of.low:.4f} to {of.high:.4f})"


def _several(result: Scaling, work: str) -> list[str]:
    """Compare several workers with one that has as many processes."""
    told = []
    for model in result.models:
        layouts = result.measured(work, model, alone=False)
        several = [layout for layout in layouts if layout.workers > 1]
        if not several:
            continue
        last = max(several, key=lambda layout: layout.processes)
        against = result.compared(work, model, last, Layout(1, last.processes))
        if against is None:
            continue
        doubt = "" if against.excludes(1.0) or not against.known else "; not a sure difference"
        told.append(
            f"{digits(against.value)} times the throughput of one with {last.processes} on {model}"
            + (f" (95 % confidence: {interval(against)}{doubt})" if against.known else "")
        )
    if not told:
        return []
    return [f"{work}: {_named(last)} have {listed(told)}."]


def _batches(result: Scaling, work: str) -> list[str]:
    """Say what batches change where the cluster is the largest."""
    if len(result.models) < 2:
        return []
    layouts = result.measured(work, result.models[0])
    if not layouts:
        return []
    last = max(layouts, key=lambda layout: layout.processes)
    rates = {model: result.rate(work, model, last) for model in result.models}
    if any(rate is None for rate in rates.values()):
        return []
    plain, batched = rates.get("broker-queue"), rates.get("broker-queue-batched")
    if plain is None or batched is None:
        return []
    return [
        f"{work}: in batches, {_named(last)} {'has' if last.processes == 1 else 'have'} "
        f"{digits(batched / plain)} times the throughput of one message a call."
    ]
