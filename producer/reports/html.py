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
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup, escape
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.measurement.result import Result, to_json
from producer.reports.change import Changes
from producer.reports.charts import Chart
from producer.reports.charts.files import INK, VEGA_LITE
from producer.reports.charts.style import LEAST, MARGIN, SPACING, theme
from producer.reports.report import Report, charts_of, report_of
from producer.reports.terminal import wrong
from producer.reports.visible import visible
from producer.reports.words import counted

#: Bytes of a page that data is taken in for; more would be slow to open, and there is --json.
MOST_BYTES = 2_000_000
#: Bytes that stand around data.
_AROUND = 300
_CODE = re.compile("`([^`]+)`")
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
    which: str
    report: Report
    problems: list[str]
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
    which = ("before", "after") if changes else tuple(f"{number}" for number in range(1, len(results) + 1))
    sections = [
        _section(result, number, name if len(results) > 1 else "")
        for number, (result, name) in enumerate(zip(results, which, strict=True), 1)
    ]
    made = _page(sections, changes)
    # What was measured comes with it as far as there is room.
    room = MOST_BYTES - len(made.encode())
    for place, (section, result) in enumerate(zip(sections, results, strict=True)):
        data = _data(result)
        if len(data) + _AROUND <= room:
            sections[place] = replace(section, data=data)
            room -= len(data) + _AROUND
    return _page(sections, changes)


def _page(sections: Sequence[_Section], changes: Changes | None) -> str:
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


def _section(result: Result, number: int, which: str) -> _Section:
    report = report_of(result)
    charts = charts_of(result)
    return _Section(
        anchor=f"{result.experiment}-{number}",
        which=which,
        report=report,
        problems=wrong(report),
        charts=charts,
        tables=_grids(report),
        environment=_environment(result),
        command=shlex.join(result.command),
        data=None,
        file=f"{'-'.join(filter(None, (result.experiment, which)))}.json",
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
        ("settings", _settings(result)),
    ]


def _settings(result: Result) -> str:
    return ", ".join(f"{name} {value}" for name, value in result.settings.items() if value is not None)


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


def _data(result: Result) -> str:
    """Return the saved result, compressed, in base64."""
    return base64.b64encode(gzip.compress(to_json(result).encode("ascii"), mtime=0)).decode("ascii")


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
        loader=loader,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else visible(str(value)),
    )
    environment.filters["sentence"] = _sentence
    return environment.get_template("page.html")


def _sentence(text: str) -> Markup:
    """Return a sentence in which what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(visible(text)))))  # noqa: S704 - escaped


def _file(name: str) -> str:
    return (resources.files("producer.reports") / "page" / name).read_text("utf-8")
