"""The report of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from producer.measurement.run import Run
from producer.measurement.summary import ENOUGH_ROUNDS, SEQUENTIAL, Summary, ranked, summarize
from producer.reports.findings import findings
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, counted, digits, interval, megabytes, seconds, span


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    cell: Callable[[Summary], str]


def _median_interval(summary: Summary) -> str:
    return span(summary.interval.low, summary.interval.high) if summary.interval.known else NONE


def _speedup_interval(summary: Summary) -> str:
    # Sequential against itself is 1, and no interval.
    return NONE if summary.speedup is None or summary.model == SEQUENTIAL else interval(summary.speedup)


_COLUMNS = (
    _Column("makespan", lambda s: seconds(s.makespan)),
    _Column("95 % interval", _median_interval),
    _Column("spread", lambda s: span(s.fastest, s.slowest) if s.rounds > 1 else NONE),
    _Column("speedup", lambda s: NONE if s.speedup is None else digits(s.speedup.value)),
    _Column("95 % interval", _speedup_interval),
    _Column("calls/s", lambda s: digits(s.throughput)),
    _Column("p50", lambda s: seconds(s.p50)),
    _Column("p99", lambda s: seconds(s.p99)),
    _Column("overhead", lambda s: NONE if s.overhead is None else seconds(s.overhead)),
    _Column("CPU", lambda s: seconds(s.resources.cpu)),
    _Column("memory", lambda s: megabytes(s.resources.memory)),
    _Column("threads", lambda s: str(s.resources.threads)),
    _Column("processes", lambda s: str(s.resources.processes)),
)

_LEGEND = (
    f"makespan and spread: median and range over the rounds; the median has an interval from {ENOUGH_ROUNDS} "
    "rounds on. speedup: against sequential, in the same round; a difference is called one where the 99 % "
    "interval says so. p50, p99: sojourn time. overhead: what the model adds to each call. CPU, memory, "
    "threads, processes: of all processes involved."
)
_METHOD = (
    "All calls are there from the start of a round, and each model runs all of them once in it. For each "
    "round and model, the executor is opened, every worker runs something, all calls run (that is "
    "measured), and it is closed; the cluster stays. Rounds go through all models, after the first in an "
    "order that is shuffled by the seed. Every result is checked. Ratios are taken within a round, and "
    "averaged as logarithms, with Student's t interval."
)


def report(run: Run) -> Report:
    """Return what there is to say of a comparison."""
    rounds = max((leg.round for leg in run.legs), default=0)
    return Report(
        result=run,
        title=(
            f"{run.workload}: {counted(len(run.calls), 'call')}, "
            f"{counted(run.settings['workers'], 'worker')}, {counted(rounds, 'round')}"
        ),
        tables=lambda console: tables(run, console),
        legend=_LEGEND if run.legs else "",
        findings=findings(run),
        method=_METHOD,
        problems=tuple(f"{problem.model}: {problem.call} {problem.what}" for problem in run.problems),
    )


def tables(run: Run, console: Console) -> list[Table]:
    """Return the figures as one table, or as several to be shown below each other in a narrow window."""
    summaries = {model: summarize(run, model) for model in run.models}
    shown = [(name, figures) for name, figures in summaries.items() if figures or name not in run.unavailable]
    columns: Sequence[_Column] = _COLUMNS
    if not any(figures and figures.interval.known for _, figures in shown):
        columns = tuple(column for column in columns if column.cell is not _median_interval)
    return fitted(lambda some: _table(shown, some, run), columns, console)


def _table(shown: list[tuple[str, Summary | None]], columns: Sequence[_Column], run: Run) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
    table.add_column("model", no_wrap=True)
    for column in columns:
        table.add_column(column.header, justify="right", overflow="fold")
    wrong = {problem.model for problem in run.problems}
    right = [figures for name, figures in shown if figures is not None and name not in wrong]
    best = ranked(right)[0].model if right else None
    for model, summary in shown:
        if summary is None:
            table.add_row(model, *("" for _ in columns), style="dim")
            continue
        style = "red" if model in wrong else "bold green" if model == best else ""
        table.add_row(model, *(column.cell(summary) for column in columns), style=style)
    return table
