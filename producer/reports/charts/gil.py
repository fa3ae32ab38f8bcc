"""The chart of what the GIL costs: the speedup of Python code beside that of C code on each model."""

from __future__ import annotations

from typing import Any

import altair as alt

from producer.experiments.gil import PYTHON, C, Gil
from producer.measurement.summary import SEQUENTIAL
from producer.reports.charts import Chart
from producer.reports.charts.style import axis, colour, finished, label_room
from producer.reports.gil import findings
from producer.reports.words import digits, interval, listed

#: An interval that goes on beyond so many times the largest value is cut at the edge.
_BEYOND = 1.6


def charts(result: Gil) -> list[Chart]:
    """Return the chart, if there is something to draw."""
    python = result.work == PYTHON
    kinds = {
        result.asked: "pure Python, which holds the GIL" if python else result.work,
        C: "C, which releases it" if python else "C, which releases the GIL",
    }
    found = {
        (model, work): of
        for model in result.models
        if model != SEQUENTIAL
        for work in kinds
        if (of := result.speedup(work, model)) is not None
    }
    if not found:
        return []
    series = dict(zip(kinds.values(), ("#8a6fd1", "#009e73"), strict=True))
    most = max(1.0, *(of.value for of in found.values()))
    high = min(_BEYOND * most, 1.2 * max(most, *(of.high for of in found.values() if of.known)))
    rows: list[dict[str, Any]] = []
    for (model, work), of in found.items():
        row: dict[str, Any] = {"model": model, "work": kinds[work], "speedup": of.value}
        row["edge"] = min(high, of.high) if of.known else of.value
        row |= {"text": f"{digits(of.value)}×", "told": interval(of)}
        if of.known:
            row |= {"low": max(0.0, of.low), "high": min(high, of.high)}
        rows.append(row)
    x = alt.X(
        "speedup:Q",
        scale=alt.Scale(domain=[0, high], rangeMax=label_room(), nice=False),
        axis=axis("times as fast as sequential", tickCount=8),
    )
    y = alt.Y("model:N", sort=None, axis=alt.Axis(title=None, domain=False, ticks=False))
    offset = alt.YOffset(
        "work:N", sort=list(kinds.values()), scale=alt.Scale(paddingInner=0.3, paddingOuter=0.25)
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, yOffset=offset)
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("work:N", title="calls in"),
        alt.Tooltip("text:N", title="speedup"),
        alt.Tooltip("told:N", title="95 % confidence"),
    ]
    bars = base.encode(color=colour(series, "work"), tooltip=tooltip)
    figure = alt.layer(
        bars.mark_bar(cornerRadiusEnd=2),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q"),
        base.mark_text(align="left", dx=5).encode(x="edge:Q", text="text:N"),
        alt.Chart(alt.InlineData(values=[{"speedup": 1.0}]))
        .mark_rule(strokeDash=[5, 4], opacity=0.7)
        .encode(x=x),
    ).properties(width="container", height=alt.Step(26))
    title = (
        "Speedup of calls of the same length in Python and in C"
        if python
        else f"Speedup of {result.work}, and of calls of the same length in C"
    )
    told = [f"{row['model']} {row['text']} in {row['work']} ({row['told']})" for row in rows]
    return [
        finished(
            figure,
            name="speedup",
            title=f"{title}, with its 95 % confidence interval",
            alt_text=f"Two bars for each model, times as fast as sequential: {listed(told)}.",
            series=series,
            field="work",
            findings=findings(result)[:2],
        )
    ]
