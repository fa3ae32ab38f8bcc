"""The comparison as a table for a terminal, of whatever width, and as plain text elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from producer.measurement.run import Run
from producer.measurement.summary import SEQUENTIAL, Summary, summarize
from producer.reports.findings import findings
from producer.reports.words import NONE, counted, digits, interval, megabytes, seconds, span

T = TypeVar("T")

#: Problems shown; the JSON file has them all.
_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    cell: Callable[[Summary], str]


def _interval(summary: Summary) -> str:
    # Sequential against itself is 1, and no interval.
    return NONE if summary.speedup is None or summary.model == SEQUENTIAL else interval(summary.speedup)


_COLUMNS = (
    _Column("makespan", lambda s: seconds(s.makespan)),
    _Column("spread", lambda s: span(s.fastest, s.slowest) if s.rounds > 1 else NONE),
    _Column("speedup", lambda s: NONE if s.speedup is None else digits(s.speedup.value)),
    _Column("95 % interval", _interval),
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
    "makespan and spread: median and range over the rounds. speedup: against sequential, in the same round. "
    "p50, p99: sojourn time. overhead: what the model adds to each call. CPU, memory, threads, processes: of "
    "all processes involved."
)


def tables(run: Run, console: Console) -> RenderableType:
    """Return the figures as one table, or as several below each other where the window is narrow."""
    summaries = {model: summarize(run, model) for model in run.models}
    shown = [(name, figures) for name, figures in summaries.items() if figures or name not in run.unavailable]
    parts: list[RenderableType] = []
    parts += fitted(lambda columns: _table(shown, columns, run), _COLUMNS, console)
    if run.unavailable:
        why = Table.grid(padding=(0, 2))
        for model, reason in run.unavailable.items():
            why.add_row(Text(model, style="dim"), Text(reason, style="dim", overflow="fold"))
        parts.append(Padding(why, (0, 0, 1, 1)))
    return Group(*parts)


def fitted(make: Callable[[Sequence[T]], Table], columns: Sequence[T], console: Console) -> list[Table]:
    """Return as many tables as it takes, each with as many of the columns as the console is wide for."""
    tables = []
    while columns:
        count = len(columns)
        while count > 1 and _measure(make(columns[:count]), console) > console.width:
            count -= 1
        tables.append(make(columns[:count]))
        columns = columns[count:]
    return tables


def _table(shown: list[tuple[str, Summary | None]], columns: Sequence[_Column], run: Run) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
    table.add_column("model", no_wrap=True)
    for column in columns:
        table.add_column(column.header, justify="right", overflow="fold")
    wrong = {problem.model for problem in run.problems}
    best = min((s.makespan for m, s in shown if s is not None and m not in wrong), default=None)
    for model, summary in shown:
        if summary is None:
            table.add_row(model, *("" for _ in columns), style="dim")
            continue
        style = "red" if model in wrong else "bold green" if summary.makespan == best else ""
        table.add_row(model, *(column.cell(summary) for column in columns), style=style)
    return table


def _measure(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def header(run: Run) -> str:
    """Return a line on what ran, and one on where."""
    rounds = max((leg.round for leg in run.legs), default=0)
    environment = run.environment
    return (
        f"{run.workload}: {counted(len(run.calls), 'call')}, {counted(run.settings['workers'], 'worker')}, "
        f"{counted(rounds, 'round')}\n"
        f"{environment.python}, {environment.cores_in_reach} cores, {environment.system}, "
        f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(run.began))}"
    )


def report(run: Run, console: Console) -> None:
    """Print everything that a person wants to know of a run."""
    say = console.print
    say()
    say(Text(header(run), style="bold"))
    say(tables(run, console), end="")
    if run.legs:
        say(Text(_LEGEND, style="dim"))
        say()
        for sentence in findings(run):
            say(bullet(Text(sentence)))
    for note in run.notes:
        if "http" in note:  # a link has to stay whole, whatever the width
            say(Text(f"• {note}", style="dim"), soft_wrap=True)
        else:
            say(bullet(Text(note, style="dim")))
    for problem in run.problems[:_MOST_PROBLEMS]:
        say(Text(f"WRONG: {problem.model}: {problem.call} {problem.what}", style="red"))
    if len(run.problems) > _MOST_PROBLEMS:
        say(Text(f"and {len(run.problems) - _MOST_PROBLEMS} more like these", style="red"))


def bullet(text: Text) -> Table:
    """Return a line with a bullet, whose further lines are indented."""
    row = Table.grid(padding=(0, 1))
    row.add_row("•", text)
    return row
