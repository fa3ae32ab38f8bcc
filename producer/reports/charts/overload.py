"""The charts of an overload: rates, backlog, latency, threads, memory over time; a panel for each model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import altair as alt

from producer.experiments.overload import Leg, Overload
from producer.measurement.windows import Window
from producer.reports.charts import Chart
from producer.reports.charts.style import SECONDS_LABEL, axis, colour, colours, finished, log_ticks
from producer.reports.overload import findings
from producer.reports.words import digits, megabytes, seconds

#: Height of a model's panel, in pixels.
_PANEL = 84
_TIME = "seconds since the first arrivals"
#: A value of a window, by the name of its series.
Values = dict[str, Callable[[Window], float | None]]

_RATES: Values = {
    "arrived": lambda window: window.arrived / (window.end - window.start),
    "served": lambda window: window.served / (window.end - window.start),
    "refused": lambda window: window.refused / (window.end - window.start),
}
_BACKLOG: Values = {
    "arrived and not ended": lambda window: float(window.backlog),
    "not taken by submit": lambda window: float(window.outside),
}
_LATENCY: Values = {"p50": lambda window: window.p50, "p99": lambda window: window.p99}
_THREADS: Values = {"threads": lambda window: window.threads}
_MEMORY: Values = {
    "memory": lambda window: None if window.memory is None else window.memory / 1e6,
}


def charts(result: Overload) -> list[Chart]:
    """Return the charts of an overload, as far as there is something to draw."""
    legs = [leg for leg in result.legs if leg.load.trace]
    if not legs:
        return []
    said = findings(result)

    def of(*words: str) -> list[str]:
        return [sentence for sentence in said if any(word in sentence for word in words)]

    made = [
        _chart(
            "rates",
            "Calls that arrive, are served and are refused in a second; dashed: the capacity",
            legs,
            _RATES,
            lambda value: f"{digits(value)} calls/s",
            findings=[*said[:1], *of("safety limit", "refused")],
            capacity=True,
        ),
        _chart(
            "backlog",
            "Calls that have arrived and not ended",
            legs,
            _BACKLOG,
            lambda value: f"{value:,.0f} calls",
            findings=of("back-pressure", "in the broker", "a worker with"),
        ),
        _chart(
            "latency",
            "Sojourn time of the calls that arrive at each moment",
            legs,
            _LATENCY,
            seconds,
            findings=of("the backlog grew"),
            log=True,
        ),
        _chart(
            "threads",
            "Threads of all processes involved",
            legs,
            _THREADS,
            lambda value: f"{value:,.0f} threads",
        ),
        _chart(
            "memory",
            "Memory of all processes involved, in megabytes",
            legs,
            _MEMORY,
            lambda value: megabytes(int(value * 1e6)),
        ),
    ]
    return [chart for chart in made if chart is not None]


def _chart(
    name: str,
    title: str,
    legs: Sequence[Leg],
    values: Values,
    told: Callable[[float], str],
    *,
    findings: Iterable[str] = (),
    capacity: bool = False,
    log: bool = False,
) -> Chart | None:
    """Draw some series over time, in a panel for each model; all panels have the same axes."""
    rows: list[dict[str, Any]] = [
        {
            "model": leg.model,
            "series": series,
            "time": round((window.start + window.end) / 2, 4),
            "value": round(found, 6),
            "told": told(found),
            "multiple": f"{leg.multiple(window.start):.1f} ×" if window.start < leg.until else "over",
        }
        for leg in legs
        for window in leg.windows
        for series, value in _drawn(leg, values).items()
        if (found := value(window)) is not None
    ]
    if not rows:
        return None
    drawn = {row["series"] for row in rows}
    series = colours(name for name in values if name in drawn)
    seen: list[float] = [row["value"] for row in rows]
    options: dict[str, Any]
    if log:
        low, high = min(seen) / 1.3, max(seen) * 1.3
        ticks = log_ticks(low, high)
        # A panel is low: it has room for the decades, if there are some.
        decades = [tick for tick in ticks if math.log10(tick).is_integer()]
        options = {"values": decades if len(decades) > 1 else ticks, "labelExpr": SECONDS_LABEL}
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
    else:
        options = {"tickCount": 4, "format": ",.12~g"}
        scale = alt.Scale(domainMin=0)
    end = max(leg.load.ended for leg in legs)
    x = alt.X("time:Q", scale=alt.Scale(domain=[0, end], nice=False), axis=axis(_TIME, tickCount=8))
    y = alt.Y("value:Q", scale=scale, axis=alt.Axis(title=None, **options))
    curves = (
        alt.Chart()
        .transform_filter("isValid(datum.series)")
        .encode(
            x=x,
            y=y,
            color=colour(series, "series"),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("series:N"),
                alt.Tooltip("told:N", title="value"),
                alt.Tooltip("time:Q", title="seconds"),
                alt.Tooltip("multiple:N", title="arrivals"),
            ],
        )
    )
    layers: list[Any] = [
        curves.mark_line(strokeWidth=2, aria=False),
        curves.mark_point(filled=True, size=22, opacity=1),
    ]
    if capacity:
        rows += [{"model": leg.model, "capacity": round(leg.capacity, 3)} for leg in legs]
        limit = alt.Chart().transform_filter("isValid(datum.capacity)")
        limit = limit.mark_rule(strokeDash=[5, 4], opacity=0.7, aria=False)
        layers.insert(0, limit.encode(y="capacity:Q"))
    panels = alt.layer(*layers, data=alt.InlineData(values=rows)).properties(width="container", height=_PANEL)
    figure = panels.facet(
        facet=alt.Facet(
            "model:N",
            sort=[leg.model for leg in legs],
            title=None,
            header=alt.Header(labelAnchor="start", labelPadding=4),
        ),
        columns=1,
        spacing=14,
    )
    return finished(
        figure,
        name=name,
        title=title,
        alt_text=_alt(legs, values, told, end),
        series=series,
        field="series",
        findings=list(findings),
    )


def _drawn(leg: Leg, values: Values) -> Values:
    """Return the series that have something to show: the first, and all that are not 0 throughout."""
    first = next(iter(values))
    return {
        name: value
        for name, value in values.items()
        if name == first or any(value(window) for window in leg.windows)
    }


def _alt(legs: Sequence[Leg], values: Values, told: Callable[[float], str], end: float) -> str:
    parts = []
    for leg in legs:
        peaks = []
        for name in _drawn(leg, values):
            seen = [(v, w) for w in leg.windows if (v := values[name](w)) is not None]
            if seen:
                most, at = max(seen, key=lambda pair: pair[0])
                peaks.append(f"{name} {told(most)} at most, {seconds(at.start)} into the load")
        parts.append(f"{leg.model}: {', '.join(peaks) or 'nothing'}")
    return f"Curves over time, from 0 to {seconds(end)}, in a panel for each model. {'; '.join(parts)}."
