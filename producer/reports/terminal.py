"""A report on a terminal, of whatever width, and as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from producer.measurement.result import Result
from producer.reports.report import Report

T = TypeVar("T")

#: Problems shown, and characters of each; the JSON file has them all.
_MOST_PROBLEMS, _MOST_TEXT = 10, 300


def show(report: Report, console: Console) -> None:
    """Print everything that a person wants to know of a result."""
    say = console.print
    say()
    say(Text(f"{report.title}\n{report.where}", style="bold"))
    for table in report.tables(console):
        say(table, end="")
    if report.result.unavailable:
        say(left_out(report.result), end="")
    if report.legend:
        say(Text(report.legend, style="dim"))
        say()
    for sentence in report.findings:
        say(bullet(Text(sentence)))
    for note in report.result.notes:
        if "http" in note:  # a link has to stay whole, whatever the width
            say(Text(f"• {note}", style="dim"), soft_wrap=True)
        else:
            say(bullet(Text(note, style="dim")))
    for line in wrong(report):
        say(Text(line, style="red"))


def wrong(report: Report) -> list[str]:
    """Return the problems as lines, the first of them, each shortened."""
    shown = [
        problem if len(problem) <= _MOST_TEXT else f"{problem[: _MOST_TEXT - 1]}…"
        for problem in report.problems[:_MOST_PROBLEMS]
    ]
    more = len(report.problems) - len(shown)
    return [*(f"WRONG: {problem}" for problem in shown), *([f"and {more:,} more like these"] if more else [])]


def left_out(result: Result) -> Padding:
    """Return why models did not run."""
    why = Table.grid(padding=(0, 2))
    for model, reason in result.unavailable.items():
        why.add_row(Text(model, style="dim"), Text(reason, style="dim", overflow="fold"))
    return Padding(why, (0, 0, 1, 1))


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


def _measure(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def bullet(text: Text) -> Table:
    """Return a line with a bullet, whose further lines are indented."""
    row = Table.grid(padding=(0, 1))
    row.add_row("•", text)
    return row
