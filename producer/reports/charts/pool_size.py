"""The charts of pool sizes: throughput and p99 over the number of workers, the knee marked."""

from __future__ import annotations

from typing import Any

import altair as alt

from producer.experiments.kind import KINDS
from producer.experiments.pool_size import PoolSizes
from producer.reports.charts import Chart
from producer.reports.charts.style import axis, colour, colours, finished, log_ticks, time_unit, upright
from producer.reports.pool_size import findings
from producer.reports.words import digits, listed, seconds


def charts(result: PoolSizes) -> list[Chart]:
    """Return a chart for each kind of work that was measured."""
    measured = {point.model for point in result.points}
    models = [model for model in result.models if model in measured]
    works = [work for work in result.works if any(point.work == work for point in result.points)]
    said = findings(result)
    return [
        _chart(result, work, models, [sentence for sentence in said if sentence.startswith(f"{work} ")])
        for work in works
    ]


def _chart(result: PoolSizes, work: str, models: list[str], said: list[str]) -> Chart:
    rows: list[dict[str, Any]] = []
    knees = {model: knee for model in models if (knee := result.knee(work, model)) is not None}
    late = max(point.p99 for point in result.points if point.work == work)
    unit, name = time_unit(late)
    for model in models:
        for size in result.sizes:
            rate, p99 = result.throughput(work, model, size), result.p99(work, model, size)
            if rate is None or p99 is None:
                continue
            recommended = model in knees and knees[model].size == size
            row = {"model": model, "workers": size, "rate": rate, "p99": p99 / unit}
            rows.append({**row, "calls/s": digits(rate), "late": seconds(p99), "knee": recommended})
    series = colours(models)
    x = alt.X(
        "workers:Q",
        scale=alt.Scale(type="log", base=2, domain=_domain(result.sizes), nice=False),
        axis=axis("workers", values=list(result.sizes), format="d"),
    )
    data = alt.Chart(alt.InlineData(values=rows)).encode(x=x, color=colour(series))
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("workers:Q"),
        alt.Tooltip("calls/s:N"),
        alt.Tooltip("late:N", title="p99"),
    ]
    figure = alt.vconcat(
        *(
            alt.layer(
                data.mark_line(strokeWidth=2, aria=False).encode(y=y),
                data.mark_point(filled=True, size=44, opacity=1).encode(y=y, tooltip=tooltip),
                data.transform_filter("datum.knee")
                .mark_point(shape="diamond", size=190, strokeWidth=2.5, opacity=1, fill="white")
                .encode(y=y, tooltip=tooltip),
            ).properties(width="container", height=220)
            for y in (_upright("rate", "calls a second", rows), _upright("p99", f"p99, {name}", rows))
        ),
        spacing=34,
    )
    what = f"{work} ({KINDS[work]})" if work in KINDS else work
    chosen = listed([f"{model} {knee.size}" for model, knee in knees.items()]) if knees else "no size yet"
    return finished(
        figure,
        name=f"workers-{_file_name(work)}",
        title=f"{what}: throughput and p99 over the number of workers; diamonds: recommended",
        alt_text=(
            "Two graphs over the number of workers, a curve for each pool: calls a second, and the p99 of "
            f"the sojourn time below. Recommended: {chosen}."
        ),
        series=series,
        findings=said,
    )


def _upright(field: str, title: str, rows: list[dict[str, Any]]) -> alt.Y:
    values = [row[field] for row in rows]
    low, high = min(values) / 1.3, max(values) * 1.3
    return alt.Y(
        f"{field}:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=upright(title, values=log_ticks(low, high), format=",~g"),
    )


def _domain(sizes: tuple[int, ...]) -> list[float]:
    """Return an axis with room for a diamond at its ends, also where there is a single size."""
    return [sizes[0] / 1.15, sizes[-1] * 1.15]


def _file_name(work: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in work.lower())
