"""What all charts look like: one colour for each model, one way to write axes, and how a chart is finished.

The same specification is drawn on a page, light or dark, and into files. So no specification names the colour
of text, axes or lines that belong to no series: that comes from `theme`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from producer.reports.charts import Chart
from producer.reports.visible import visible

#: Every model's colour, in all charts alike. Okabe and Ito's palette ("Color universal design", 2008), which
#: people with any kind of colour vision can tell apart; orange, sky blue and yellow are darkened, and black
#: is grey, so that each has a contrast of 3 : 1 at least on white and on the dark page.
MODEL_COLOURS = {
    "sequential": "#808080",
    "thread-per-request": "#c98500",
    "thread-pool": "#d55e00",
    "process-pool": "#0072b2",
    "interpreter-pool": "#8f8a00",
    "event-loop": "#3d9bd4",
    "broker-queue": "#cc79a7",
    "broker-queue-batched": "#009e73",
    # Pools that are shown under overload alone.
    "thread-pool-blocking": "#b5651d",
    "thread-pool-rejecting": "#8a6fd1",
}
#: The colours of series that are no models, in their order.
OTHER_COLOURS = ("#009e73", "#d55e00", "#0072b2", "#cc79a7", "#c98500", "#3d9bd4", "#808080", "#8f8a00")
#: The background of the page where it is dark.
DARK = "#15181d"

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
#: The parameter of every chart that holds the names of the series that are switched off.
HIDDEN = "hidden"

_UNITS = ((1.0, "seconds"), (1e-3, "milliseconds"), (1e-6, "microseconds"))


def colours(names: Iterable[str]) -> dict[str, str]:
    """Return each series with its colour: a model's own, and for others the next of `OTHER_COLOURS`."""
    names = list(names)
    used = {MODEL_COLOURS[name] for name in names if name in MODEL_COLOURS}
    free = [colour for colour in OTHER_COLOURS if colour not in used] or list(OTHER_COLOURS)
    others = itertools.cycle(free)
    return {name: MODEL_COLOURS.get(name) or next(others) for name in names}


def colour(series: dict[str, str], field: str = "model", *, legend: bool = True) -> alt.Color:
    """Return the encoding of a series by its colour; `legend` where nothing else in the chart names it."""
    scale = alt.Scale(domain=list(series), range=list(series.values()))
    # No `Legend` of its own: a theme could not switch it off.
    return alt.Color(f"{field}:N", scale=scale, title=None, legend=alt.Undefined if legend else None)


def slug(words: str) -> str:
    """Return words as they can be in a file's name and in an address."""
    return re.sub("[^a-z0-9]+", "-", words.lower()).strip("-") or "chart"


def time_unit(most: float) -> tuple[float, str]:
    """Return the unit for durations of up to so many seconds: its seconds, and its name."""
    return next((unit for unit in _UNITS if most >= unit[0]), _UNITS[-1])


def axis(title: str | None, **options: Any) -> alt.Axis:
    """Return a horizontal axis with its title."""
    return alt.Axis(title=title, **options)


def upright(title: str, **options: Any) -> alt.Axis:
    """Return a vertical axis, whose title is written above it and reads like any text."""
    placed = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": 0, "titleY": -14}
    return alt.Axis(title=title, **{**placed, **options})


def log_ticks(low: float, high: float) -> list[float]:
    """Return round values from `low` to `high` for a logarithmic axis, not too many of them."""
    return [tick for tick in _round_values(low, high) if low * 0.999 <= tick <= high * 1.001]


def log_span(low: float, high: float) -> list[float]:
    """Return the ends of a logarithmic axis for values from `low` to `high`: ticks, where those are near."""
    values = _round_values(low, high)
    begin = max((value for value in values if value <= low), default=low)
    end = min((value for value in values if value >= high), default=high)
    # Not more room than the data has itself.
    most = max(2.0, (high / low) ** 0.5)
    return [begin if low / begin <= most else low, end if end / high <= most else high]


def _round_values(low: float, high: float) -> list[float]:
    if high / low < _NARROW:
        return _even(low, high)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    several = (step for most, step in _STEPS if high / low < most)
    steps = next(several, (1.0,))
    return [float(f"{step * 10.0**decade:.2g}") for decade in decades for step in steps]


def _even(low: float, high: float) -> list[float]:
    """Return round values at equal distances: where an axis is as good as linear."""
    least = max(high - low, low / 1000) / 6
    size = 10.0 ** math.floor(math.log10(least))
    step = next(step * size for step in (1, 2, 5, 10) if step * size >= least)
    places = range(math.floor(low / step), math.ceil(high / step) + 1)
    return [float(f"{place * step:.6g}") for place in places if place > 0]


#: Ends that are no more than so many times apart: the axis is as good as linear.
_NARROW = 1.6
#: Up to which ratio of an axis's ends a decade has which ticks.
_STEPS: tuple[tuple[float, tuple[float, ...]], ...] = (
    (4, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)),
    (12, (1, 1.5, 2, 3, 4, 5, 7)),
    (300, (1, 2, 5)),
    (2e4, (1, 3)),
)
#: Labels of shares on any axis.
SHARE_LABEL = "format(100 * datum.value, '.0f') + ' %'"
#: Labels of numbers on any axis: with thousands separators, and no exponent.
NUMBER_LABEL = "format(datum.value, ',')"
#: Labels of seconds on a logarithmic axis.
SECONDS_LABEL = (
    "datum.value >= 1 ? format(datum.value, ',') + ' s' : "
    "datum.value >= 0.001 ? format(datum.value * 1e3, ',.12~g') + ' ms' : "
    "format(datum.value * 1e6, ',.12~g') + ' µs'"
)


def finished(
    chart: Any,
    *,
    name: str,
    title: str,
    alt_text: str,
    series: dict[str, str],
    field: str = "model",
    findings: Sequence[str] = (),
    small: bool = False,
) -> Chart:
    """Make a chart of what Altair has made.

    Every view of data that has `field` gets a filter for it, so that a series can be switched off.

    Args:
        chart: of Altair; its width `"container"`, or of each of its parts if it is made of several.
        name: as `Chart` has it; so are `title`, `series` and `findings`.
        title: a line on what it shows.
        alt_text: what is to be seen.
        series: each series, and its colour.
        field: what tells the series apart in the data.
        findings: sentences of the report.
        small: whether a page may show three of them in a row.
    """
    spec: dict[str, Any] = chart.to_dict()
    del spec["config"]  # Altair's own theme
    # What others named is in all of it: as data, in scales, as a sort order.
    spec, title, alt_text = _visible(spec), visible(title), visible(alt_text)
    series = {visible(name): its for name, its in series.items()}
    datasets = spec.get("datasets", {})
    _filter(spec, {key for key, rows in datasets.items() if any(field in row for row in rows)}, field)
    spec.setdefault("params", []).insert(0, {"name": HIDDEN, "value": []})
    if spec.get("width") == "container":
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["title"] = {"text": title, "anchor": "start", "fontSize": 15, "offset": 14}
    spec["description"] = alt_text
    return Chart(name, title, alt_text, spec, series, tuple(findings), small)


def _visible(part: Any) -> Any:
    if isinstance(part, str):
        return visible(part)
    if isinstance(part, list):
        return [_visible(one) for one in part]
    return {key: _visible(one) for key, one in part.items()} if isinstance(part, dict) else part


def label_room(characters: int = 7) -> Any:
    """Return the end of a scale that leaves room at the right for labels of so many characters."""
    return alt.expr(f"max(30, width - {CHARACTER * characters:.0f})")


def within(place: str, leftmost: int = 0) -> Any:
    """Return where a text that is aligned left begins: at a place, but not so far right that it is cut off.

    Args:
        place: an expression; `scale('x', ...)` is where a value lies. The text is the data's `text`.
        leftmost: where it begins at least, in pixels; below 0 if there is room left of the axis.
    """
    end = f"width - {CHARACTER} * length(datum.text)"
    return alt.value(alt.expr(f"max({leftmost}, min({place}, {end}))"))


#: The width of a character of a label, about, in pixels.
CHARACTER = 6.6


def _filter(view: Any, names: set[str], field: str) -> None:
    if isinstance(view, list):
        for part in view:
            _filter(part, names, field)
    elif isinstance(view, dict):
        if isinstance(view.get("data"), dict) and view["data"].get("name") in names:
            shown = {"filter": f"indexof({HIDDEN}, datum[{field!r}]) < 0"}
            view["transform"] = [shown, *view.get("transform", [])]
        for key, part in view.items():
            if key != "datasets":
                _filter(part, names, field)


def theme(ink: str, *, legend: bool) -> dict[str, Any]:
    """Return the configuration that a specification is drawn with.

    Args:
        ink: the colour of text and lines; `currentColor` takes it from the page that it is drawn on.
        legend: whether the chart has one of its own.
    """
    return {
        "background": None,
        "font": FONT,
        "view": {"stroke": None},
        # A chart is told by its description; hundreds of marks, read out one by one, would drown it.
        "mark": {"aria": False},
        "axis": {
            "labelColor": ink,
            "titleColor": ink,
            "gridColor": ink,
            "domainColor": ink,
            "tickColor": ink,
            "gridOpacity": 0.13,
            "domainOpacity": 0.4,
            "tickOpacity": 0.4,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelPadding": 5,
            "titlePadding": 9,
            "labelLimit": 240,
            "labelSeparation": 8,
            "titleLimit": 600,
        },
        # To its right end, where a narrow window has room for the whole title: over the labels at the left.
        "axisX": {"titleAnchor": "end"},
        "header": {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "labelFontWeight": "bold"},
        "legend": {
            "disable": not legend,
            "symbolOpacity": 1,
            "symbolBaseFillColor": ink,
            "symbolBaseStrokeColor": ink,
            "labelColor": ink,
            "labelFontSize": 12,
            "labelLimit": 300,
            "orient": "bottom",
            "direction": "horizontal",
            "columns": 4,
        },
        "title": {"color": ink, "subtitleColor": ink, "fontWeight": 600},
        "text": {"color": ink, "fontSize": 12},
        "rule": {"color": ink},
        "tick": {"color": ink},
    }


#: What the axes of a chart that is made of several parts take of its width, in pixels; the space between two
#: parts; and the least width of one.
MARGIN, SPACING, LEAST = 72, 20, 190


def sized(spec: dict[str, Any], width: int) -> dict[str, Any]:
    """Return a specification that is so many pixels wide, its axes included.

    Small multiples get as many columns as there is room for.
    """
    if "facet" in spec:
        room = width - MARGIN
        columns = max(1, min(spec.get("columns", 1), (room + SPACING) // (LEAST + SPACING)))
        part = (room - (columns - 1) * SPACING) // columns
        return {**spec, "columns": columns, "spacing": SPACING, "spec": {**spec["spec"], "width": part}}
    if "vconcat" in spec:
        return {**spec, "vconcat": [{**part, "width": width - MARGIN} for part in spec["vconcat"]]}
    return {**spec, "width": width}
