"""The charts of a break-even sweep: throughput over the size of a call, and how it compares."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from producer.experiments.break_even import Sweep
from producer.measurement.lead import Lead
from producer.measurement.summary import SEQUENTIAL
from producer.reports.break_even import findings
from producer.reports.charts import Chart
from producer.reports.charts.style import (
    CHARACTER,
    NUMBER_LABEL,
    SECONDS_LABEL,
    axis,
    colour,
    colours,
    finished,
    log_ticks,
    upright,
    within,
)
from producer.reports.words import digits, interval, listed, seconds

_TITLE = "what a call takes"
#: Pixels of the height of the first chart, and of a line of labels in it.
_HEIGHT, _LINE = 380, 16


def charts(sweep: Sweep) -> list[Chart]:
    """Return the charts of a sweep, as far as there is something to draw."""
    measured = {point.model for point in sweep.points}
    models = [model for model in sweep.models if model in measured]
    if not models:
        return []
    base = SEQUENTIAL if SEQUENTIAL in models else models[0]
    said = findings(sweep)
    made = [_throughput(sweep, models, base, said[:2])]
    if len(models) > 1:
        made.append(_ratios(sweep, models, base, said[2:]))
    return made


def _throughput(sweep: Sweep, models: list[str], base: str, said: list[str]) -> Chart:
    rows: list[dict[str, Any]] = []
    for model in models:
        for size in sweep.sizes:
            rates = sweep.rates(model, size)
            rate = sweep.rate(model, size)
            if rate is None:
                continue
            told = f"{digits(rate)}, from {digits(min(rates.values()))} to {digits(max(rates.values()))}"
            row = {"model": model, "what": "rate", "size": size, "rate": rate, "a call": seconds(size)}
            rows.append({**row, "calls/s": told})
    crossings = _crossings(sweep, models, base)
    lowest, highest = min(row["rate"] for row in rows), max(row["rate"] for row in rows)
    middle = math.sqrt(sweep.sizes[0] * sweep.sizes[-1])
    # The labels have the lower end of the chart to themselves.
    room = (_LINE * len(crossings) + 8) / _HEIGHT
    domain = [lowest / 1.5 / (highest / lowest) ** (room / (1 - room)), highest * 1.15]
    line = (domain[1] / domain[0]) ** (_LINE / _HEIGHT)
    # A label stands at the side of its line where there is more room, below those whose text the line would
    # pass through: at the right half the line furthest to the right is the longest, at the left the leftmost.
    right = [crossing for crossing in reversed(crossings) if crossing[1].start >= middle]
    left = [crossing for crossing in crossings if crossing[1].start < middle]
    for level, (model, lead) in enumerate([*right, *left]):
        row = {"model": model, "what": "crossing", "size": lead.start, "rate": _at(sweep, base, lead.start)}
        text = f"{model} {seconds(lead.start)}"
        row |= {"label": domain[0] * line ** (level + 1), "text": text}
        rows.append({**row, "gap": 5 if lead.start < middle else -5 - CHARACTER * len(text)})
    series = colours(models)
    x = _sizes(sweep)
    y = alt.Y(
        "rate:Q",
        scale=alt.Scale(type="log", domain=domain, nice=False),
        axis=upright("calls a second", values=log_ticks(*domain), labelExpr=NUMBER_LABEL),
    )
    all_rows = alt.Chart(alt.InlineData(values=rows)).encode(x=x, color=colour(series))
    lines = all_rows.transform_filter("datum.what == 'rate'").encode(y=y)
    tooltip = [alt.Tooltip(f"{field}:N") for field in ("model", "a call", "calls/s")]
    crossed = all_rows.transform_filter("datum.what == 'crossing'")
    figure = alt.layer(
        crossed.mark_rule(strokeDash=[2, 3], strokeWidth=1.5).encode(y=y, y2="label:Q"),
        lines.mark_line(strokeWidth=2, aria=False),
        lines.mark_point(filled=True, size=44, opacity=1).encode(tooltip=tooltip),
        crossed.mark_point(shape="diamond", size=130, strokeWidth=2, opacity=1, fill="white").encode(
            y=y, tooltip=[alt.Tooltip("text:N", title=" ")]
        ),
        crossed.mark_text(align="left", baseline="top", dy=1).encode(
            x=within("scale('x', datum.size) + datum.gap"), y=alt.Y("label:Q"), text="text:N"
        ),
    ).properties(width="container", height=_HEIGHT)
    fastest = [
        f"{seconds(size)}: {max(at_size, key=at_size.__getitem__)}"
        for size in sweep.sizes
        if (at_size := {m: r for m in models if (r := sweep.rate(m, size)) is not None})
    ]
    where = [f"{model} at {seconds(lead.start)}" for model, lead in crossings]
    crossing = f"{base} is overtaken by {listed(where)}." if where else f"No curve crosses {base}'s for sure."
    never = [model for model in models if model not in {base, *(model for model, _ in crossings)}]
    if where and never:
        crossing += f" It is not, for sure, by {listed(never)}."
    return finished(
        figure,
        name="throughput",
        title=f"Throughput over the size of a call; diamonds: where a model overtakes {base}",
        alt_text=(
            f"A curve for each model on logarithmic axes: calls a second, falling as calls grow. {crossing} "
            f"The fastest at each size: {'; '.join(fastest)}."
        ),
        series=series,
        findings=said,
    )


def _sizes(sweep: Sweep) -> alt.X:
    low, high = sweep.sizes[0], sweep.sizes[-1]
    if low == high:  # an axis has to have a length
        low, high = low / 2, high * 2
    return alt.X(
        "size:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=axis(
            _TITLE,
            values=log_ticks(low, high),
            labelExpr=SECONDS_LABEL,
            labelFlush=True,
        ),
    )


def _crossings(sweep: Sweep, models: list[str], base: str) -> list[tuple[str, Lead]]:
    """Return where models overtake `base` by more than noise, by size."""
    found = [
        (model, lead)
        for model in models
        if model != base
        for lead in sweep.leads(model, base)
        if lead.sure and lead.start > 0.0
    ]
    return sorted(found, key=lambda crossing: crossing[1].start)


def _at(sweep: Sweep, model: str, size: float) -> float:
    """Return a model's rate at a size between two that were measured: on a straight line on the log axes."""
    known = [(math.log(s), math.log(rate)) for s in sweep.sizes if (rate := sweep.rate(model, s)) is not None]
    place = math.log(size)
    after = next((index for index, (at, _) in enumerate(known) if at >= place), len(known) - 1)
    (left, low), (right, high) = known[max(0, after - 1)], known[after]
    share = (place - left) / (right - left) if right > left else 0.0
    return math.exp(low + share * (high - low))


def _ratios(sweep: Sweep, models: list[str], base: str, said: list[str]) -> Chart:
    rows: list[dict[str, Any]] = []
    for model in models:
        for size in sweep.sizes:
            of = sweep.ratio(model, base, size) if model != base else None
            if of is None:
                continue
            row: dict[str, Any] = {"model": model, "size": size, "times": of.value, "a call": seconds(size)}
            row["told"] = f"{digits(of.value)} ({interval(of)})"
            if of.known:
                row |= {"low": max(of.low, of.value / 30), "high": min(of.high, of.value * 30)}
            rows.append(row)
    values = [row["times"] for row in rows]
    low, high = min(*values, 0.5) / 1.5, max(*values, 2.0) * 1.5
    series = colours(model for model in models if model != base)
    x = _sizes(sweep)
    y = alt.Y(
        "times:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False, clamp=True),
        axis=upright(f"times as fast as {base}", values=log_ticks(low, high), labelExpr=NUMBER_LABEL),
    )
    data = alt.Chart(alt.InlineData(values=rows)).encode(x=x, color=colour(series))
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("a call:N"),
        alt.Tooltip("told:N", title="times as fast, 95 %"),
    ]
    even = alt.Chart(alt.InlineData(values=[{"times": 1.0, "text": f"as fast as {base}"}])).encode(y=y)
    figure = alt.layer(
        even.mark_rule(strokeDash=[5, 4], opacity=0.7),
        data.transform_filter("isValid(datum.low)")
        .mark_area(opacity=0.16, aria=False)
        .encode(y=alt.Y("low:Q"), y2="high:Q"),
        data.mark_line(strokeWidth=2, aria=False).encode(y=y),
        data.mark_point(filled=True, size=44, opacity=1).encode(y=y, tooltip=tooltip),
    ).properties(width="container", height=320)
    last = [f"{row['model']} {row['told']}" for row in rows if row["size"] == sweep.sizes[-1]]
    return finished(
        figure,
        name="speedup",
        title=f"Throughput against {base}, with its 95 % confidence interval",
        alt_text=(
            f"A curve for each model over the size of a call; above 1 it is faster than {base}. "
            f"At {seconds(sweep.sizes[-1])}: {listed(last)}."
        ),
        series=series,
        findings=said,
    )
