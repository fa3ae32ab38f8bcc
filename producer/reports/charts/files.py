"""Charts as files: PNG and SVG, from the specifications that a page draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import vl_convert

from producer.measurement.result import Result, write
from producer.reports.charts import Chart
from producer.reports.charts.style import sized, theme
from producer.reports.report import charts_of

#: Pixels of a picture's width, and how many of the file's there are to each.
WIDTH, SCALE = 860, 2
#: The version of Vega-Lite that Altair writes.
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
#: The colour of text and lines on white.
INK = "#24292f"


def png(chart: Chart) -> bytes:
    """Draw a chart on white."""
    made: bytes = vl_convert.vegalite_to_png(sized(chart.spec, WIDTH), VEGA_LITE, SCALE, config=_theme())
    return made


def svg(chart: Chart) -> str:
    """Draw a chart on white, as SVG."""
    made: str = vl_convert.vegalite_to_svg(sized(chart.spec, WIDTH), VEGA_LITE, config=_theme())
    return made


def _theme() -> dict[str, object]:
    return {**theme(INK, legend=True), "background": "white", "padding": 12}


def draw_all(results: Sequence[Result], folder: Path) -> None:
    """Write all charts of results into a folder, as `EXPERIMENT-CHART.png` and `.svg`.

    Where there are several results of an experiment, the second one's files are `EXPERIMENT-2-CHART.png`.

    Raises:
        OSError: a file can't be written.
    """
    folder.mkdir(exist_ok=True)
    seen: Counter[str] = Counter()
    for result in results:
        seen[result.experiment] += 1
        number = seen[result.experiment]
        prefix = result.experiment if number == 1 else f"{result.experiment}-{number}"
        for chart in charts_of(result):
            write(folder / f"{prefix}-{chart.name}.png", png(chart))
            write(folder / f"{prefix}-{chart.name}.svg", svg(chart).encode())
