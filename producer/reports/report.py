"""A report: what a person reads of a result, on a terminal or on a page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name

from rich.console import Console
from rich.table import Table

from producer.measurement.result import Result, convert, read
from producer.reports.charts import Chart
from producer.reports.trust import busy, disturbed
from producer.reports.words import counted

#: The class of each experiment's result, and what makes a report of it: imported when they are needed.
EXPERIMENTS = {
    "compare": ("producer.measurement.run:Run", "producer.reports.compare:report"),
    "break-even": ("producer.experiments.break_even:Sweep", "producer.reports.break_even:report"),
    "overload": ("producer.experiments.overload:Overload", "producer.reports.overload:report"),
    "futures": ("producer.experiments.futures:Lives", "producer.reports.futures:report"),
    "pool-size": ("producer.experiments.pool_size:PoolSizes", "producer.reports.pool_size:report"),
    "gil": ("producer.experiments.gil:Gil", "producer.reports.gil:report"),
    "blocking": ("producer.experiments.blocking:Heartbeats", "producer.reports.blocking:report"),
    "scale": ("producer.experiments.scale:Scaling", "producer.reports.scale:report"),
    "faults": ("producer.experiments.faults:Drills", "producer.reports.faults:report"),
}


@dataclass(frozen=True)
class Report:
    """What there is to say of a result.

    Attributes:
        result: of what.
        title: a line on what ran.
        tables: makes the figures' tables, none wider than the console.
        legend: what the tables' columns mean, in sentences.
        findings: what the figures say, in sentences that are computed from them, the most important first.
        problems: what is wrong with the results, if anything is.
        method: how it was measured, in sentences.
    """

    result: Result
    title: str
    tables: Callable[[Console], list[Table]]
    legend: str
    findings: list[str]
    problems: tuple[str, ...] = ()
    method: str = ""

    @property
    def where(self) -> str:
        """A line on where and when it ran."""
        where = self.result.environment
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.result.began))
        python = where.python
        if where.free_threaded:
            python += f" free-threaded, GIL {'on' if where.gil else 'off'}"
        return f"{python}, {counted(where.cores_in_reach, 'core')}, {where.system}, {when}"


def report_of(result: Result) -> Report:
    """Make the report of any experiment's result."""
    report: Report = resolve_name(EXPERIMENTS[result.experiment][1])(result)
    cautions = [one for one in (disturbed(result.noise), busy(result.environment)) if one]
    return replace(report, findings=[*report.findings, *cautions])


def charts_of(result: Result) -> list[Chart]:
    """Draw any experiment's result."""
    module = f"producer.reports.charts.{result.experiment.replace('-', '_')}"
    charts: list[Chart] = resolve_name(f"{module}:charts")(result)
    return charts


def load_any(path: Path) -> Result:
    """Read the result of whatever experiment it is of.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds something else, or a result of another format.
    """
    document = read(path)
    try:
        kind, _ = EXPERIMENTS[document["experiment"]]
    except KeyError:
        raise ValueError(f"{path} is a result of {document['experiment']!r}, which is unknown here") from None
    result: Result = convert(document, resolve_name(kind), path)
    return result
