"""The charts of growing clusters: throughput over their processes, against the fitted law."""

from __future__ import annotations

from typing import Any

import altair as alt

from producer.experiments.kind import KINDS
from producer.experiments.scale import Layout, Scaling
from producer.reports.charts import Chart
from producer.reports.charts.style import axis, colour, colours, finished, log_ticks, upright
from producer.reports.scale import findings
from producer.reports.words import digits, listed

#: Points along the curve of the law.
_STEPS = 40


def charts(result: Scaling) -> list[Chart]:
    """Return a chart for each kind of work that was measured on more than one cluster."""
    said = findings(result)
    made = []
    for work in result.works:
        layouts = {point.layout for point in result.points if point.work == work}
        if len(layouts) > 1:
            beside = [one for one in said if work in one.replace(":", " ").replace(",", " ").split()]
            made.append(_chart(result, work, beside))
    return made


def _chart(result: Scaling, work: str, said: list[str]) -> Chart:
    rows: list[dict[str, Any]] = []
    told = []
    for model in result.models:
        layouts = result.measured(work, model, alone=False)
        rows += [row for layout in layouts if (row := _measured(result, work, model, layout)) is not None]
        law = result.law(work, model)
        if law is not None:
            most = max(layout.processes for layout in layouts)
            steps = (most ** (step / _STEPS) for step in range(_STEPS + 1))
            rows += [
                {"model": model, "what": "law", "processes": n, "rate": law.throughput(n)} for n in steps
            ]
            told.append(f"{model} σ {law.contention.value:.4f}, κ {law.coherency.value:.4f}")
    numbers = sorted({row["processes"] for row in rows if row["what"] != "law"})
    rows += _ideal(result, work, numbers)
    series = colours(row["model"] for row in rows if row["what"] in ("one", "several"))
    values = [row["rate"] for row in rows]
    low, high = min(values) / 1.3, max(values) * 1.3
    doing = "messages under way" if result.settings["remote"] else "worker processes"
    x = alt.X(
        "processes:Q",
        scale=alt.Scale(type="log", base=2, domain=[numbers[0] / 1.1, numbers[-1] * 1.1], nice=False),
        axis=axis(doing, values=numbers, format="d"),
    )
    y = alt.Y(
        "rate:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=upright("calls a second", values=log_ticks(low, high), format=",~g"),
    )
    data = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=colour(series))
    tooltip = [alt.Tooltip(f"{field}:N") for field in ("model", "cluster", "calls/s", "efficiency")]
    figure = alt.layer(
        data.transform_filter("datum.what == 'ideal'").mark_line(strokeDash=[2, 4], opacity=0.7, aria=False),
        data.transform_filter("datum.what == 'law'").mark_line(strokeWidth=2, aria=False),
        data.transform_filter("datum.what == 'one'")
        .mark_point(filled=True, size=60, opacity=1)
        .encode(tooltip=tooltip),
        data.transform_filter("datum.what == 'several'")
        .mark_point(shape="square", size=190, strokeWidth=1.5, opacity=1)
        .encode(tooltip=tooltip),
    ).properties(width="container", height=360)
    what = f"{work} ({KINDS[work]})" if work in KINDS else work
    last = [
        f"{model} {digits(rate)}"
        for model in result.models
        if (rate := result.rate(work, model, Layout(1, numbers[-1]))) is not None
    ]
    shapes = ["lines: the fitted law"] if told else []
    shapes += ["squares: several workers"] if any(row["what"] == "several" for row in rows) else []
    shapes.append("dotted: no loss")
    law_said = f" The universal scalability law: {'; '.join(told)}." if told else ""
    return finished(
        figure,
        name=f"scale-{_file_name(work)}",
        title=f"{what}: throughput over {doing}; {'; '.join(shapes)}",
        alt_text=(
            f"Calls a second on clusters of growing size, on logarithmic axes: points for what was measured, "
            f"squares for several workers, a line for the law where one was fitted. At {numbers[-1]}: "
            f"{listed(last)}.{law_said}"
        ),
        series=series,
        findings=said,
    )


def _measured(result: Scaling, work: str, model: str, layout: Layout) -> dict[str, Any] | None:
    rate, efficiency = result.rate(work, model, layout), result.efficiency(work, model, layout)
    if rate is None:
        return None
    several = f"{layout.workers} workers with {layout.each} each"
    return {
        "model": model,
        "what": "one" if layout.workers == 1 else "several",
        "processes": layout.processes,
        "rate": rate,
        "cluster": several if layout.workers > 1 else f"one worker with {layout.each}",
        "calls/s": digits(rate),
        "efficiency": "" if efficiency is None else f"{efficiency.value:.0%}",
    }


def _ideal(result: Scaling, work: str, numbers: list[int]) -> list[dict[str, Any]]:
    """Return what each queue would reach if each process did as much as one alone."""
    return [
        {"model": model, "what": "ideal", "processes": n, "rate": one * n}
        for model in result.models
        if (one := result.rate(work, model, Layout(1, 1))) is not None
        for n in (numbers[0], numbers[-1])
    ]


def _file_name(work: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in work.lower())
