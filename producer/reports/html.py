"""A report as a page: one HTML file that needs nothing else, and asks for nothing.

The charts are drawn in the reader's browser by Vega-Lite, whose script comes with vl-convert and is a part of
the page. A Content-Security-Policy forbids every connection, and every script but the page's own; expressions
in charts are interpreted, not evaluated, so the policy need not allow `eval`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.measurement.result import Result, to_json
from producer.reports.change import Changes
from producer.reports.charts import Chart
from producer.reports.charts.files import INK, VEGA_LITE
from producer.reports.charts.style import LEAST, MARGIN, SPACING, theme
from producer.reports.report import Report, charts_of, report_of
from producer.reports.words import counted

#: Bytes of compressed data that a page takes in; more would be slow to open, and there is --json.
MOST_DATA = 1_500_000
#: Rich's styles of rows and cells that mean something, and the page's classes for them.
_CLASSES = {"bold green": "best", "red": "wrong", "dim": "dim"}


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    classes: str


@dataclass(frozen=True, slots=True)
class _Grid:
    """A table: its columns' headers, and its rows."""

    headers: list[_Cell]
    rows: list[list[_Cell]]


@dataclass(frozen=True, slots=True)
class _Section:
    """What the page has of one result."""

    anchor: str
    report: Report
    charts: list[Chart]
    tables: list[_Grid]
    environment: list[tuple[str, str]]
    command: str
    data: str | None
    file: str


def page(results: Sequence[Result], changes: Changes | None = None) -> str:
    """Return the page: a section for each result.

    Args:
        results: at least one.
        changes: what differs between them, if that is to be told.
    """
    sections = [_section(result, number) for number, result in enumerate(results, 1)]
    charts = {f"{s.anchor}-{chart.name}": _drawn(chart) for s in sections for chart in s.charts}
    scripts = [_runtime(), _file("page.js")]
    first = sections[0].report
    return _template().render(
        title=first.title
        if len(sections) == 1
        else f"{first.title}, and {counted(len(sections) - 1, 'other')}",
        sections=sections,
        changes=changes.sentences if changes else (),
        changed=_grids(changes) if changes else (),
        style=_file("page.css"),
        scripts=scripts,
        policy=_policy(scripts),
        drawing=_json(
            {
                "charts": charts,
                "themes": {"page": theme("currentColor", legend=False), "file": theme(INK, legend=True)},
                "margin": MARGIN,
                "spacing": SPACING,
                "least": LEAST,
            }
        ),
    )


def _section(result: Result, number: int) -> _Section:
    report = report_of(result)
    charts = charts_of(result)
    return _Section(
        anchor=f"{result.experiment}-{number}",
        report=report,
        charts=charts,
        tables=_grids(report),
        environment=_environment(result),
        command=shlex.join(result.command),
        data=_data(result),
        file=f"{result.experiment}.json",
    )


def _environment(result: Result) -> list[tuple[str, str]]:
    where = result.environment
    gil = "with a global lock (GIL)" if where.gil else "without a global lock (GIL)"
    return [
        ("system", where.system),
        ("processor", f"{where.processor}, {counted(where.cores, 'core')}, {where.cores_in_reach} in reach"),
        ("memory", f"{where.memory / 1e9:.1f} GB"),
        ("Python", f"{where.python}, {gil}"),
        ("load before", "unknown" if where.load is None else f"{where.load:.2f}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in where.versions.items())),
        ("settings", ", ".join(f"{name} {value}" for name, value in result.settings.items())),
    ]


def _grids(of: Report | Changes) -> list[_Grid]:
    return [_grid(table) for table in of.tables(Console(width=10_000))]


def _grid(table: Table) -> _Grid:
    headers = [
        _Cell(_plain(column.header).replace("-\n", "-"), "number" if column.justify == "right" else "")
        for column in table.columns
    ]
    columns = [list(column.cells) for column in table.columns]
    rows = []
    for index, row in enumerate(table.rows):
        of_row = _CLASSES.get(str(row.style or ""), "")
        rows.append(
            [
                _Cell(
                    _plain(cells[index]), " ".join(filter(None, (head.classes, _class(cells[index]), of_row)))
                )
                for head, cells in zip(headers, columns, strict=True)
            ]
        )
    return _Grid(headers, rows)


def _plain(cell: Any) -> str:
    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain


def _class(cell: Any) -> str:
    return _CLASSES.get(str(cell.style), "") if isinstance(cell, Text) else ""


def _data(result: Result) -> str | None:
    """Return the saved result, compressed, in base64; None if it is too much for a page."""
    packed = gzip.compress(to_json(result).encode("ascii"), mtime=0)
    return base64.b64encode(packed).decode("ascii") if len(packed) <= MOST_DATA else None


def _drawn(chart: Chart) -> dict[str, Any]:
    """Return what the browser needs of a chart: the page has its title and its description already."""
    return {"spec": chart.spec, "series": chart.series, "name": chart.name}


def _json(value: Any) -> str:
    """Return JSON that can stand in a <script>: ASCII, and nothing in it ends the element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: Sequence[str]) -> str:
    hashes = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(one).decode('ascii')}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _runtime() -> str:
    """Return the script that draws charts: Vega, Vega-Lite and Vega-Embed, as `vegaEmbed`."""
    script: str = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]
    return script.replace("</script", "<\\/script")


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FunctionLoader(_file)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html")


def _file(name: str) -> str:
    return (resources.files("producer.reports") / "page" / name).read_text("utf-8")
