"""The charts of a comparison: timeline, speedup, latency, resources."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal

import altair as alt
import numpy as np

from producer.measurement.resources import Sample
from producer.measurement.run import Run
from producer.measurement.summary import (
    SEQUENTIAL,
    Summary,
    complete,
    cores,
    makespan,
    pairs,
    shared,
    summarize,
)
from producer.reports.charts import Chart
from producer.reports.charts.style import (
    NUMBER_LABEL,
    SECONDS_LABEL,
    SHARE_LABEL,
    axis,
    colour,
    colours,
    finished,
    label_room,
    log_span,
    log_ticks,
    time_unit,
    upright,
    within,
)
from producer.reports.charts.timeline import middle, timeline
from producer.reports.findings import BOUND, OVERHEAD, WINNER, by_topic, longest_bound
from producer.reports.words import NONE, counted, digits, interval, listed, megabytes, seconds

#: Points of a distribution's curve.
_POINTS = 240
#: Samples that a model has to have for lines over time: fewer make no line.
_FEWEST_SAMPLES = 3
#: The percentiles that are marked.
_MARKED = (50, 90, 99)
#: An axis of speedups is logarithmic where the largest is so many times the smallest.
_WIDE = 12.0
#: An interval that goes on beyond so many times the largest value is cut at the edge.
_BEYOND = 1.6


def charts(run: Run) -> list[Chart]:
    """Return the charts of a comparison, as far as there is something to draw."""
    summaries = {model: summary for model in run.models if (summary := summarize(run, model)) is not None}
    if not summaries:
        return []
    # As in the findings: how fast a model gave wrong results, or none, is nothing to compare.
    wrong = {problem.model for problem in run.problems}
    right = {model: summary for model, summary in summaries.items() if model not in wrong}
    left_out = [model for model in summaries if model in wrong]
    said = by_topic(run)
    made = [
        timeline(run, said.get(BOUND, ())),
        _speedup(run, right, left_out, said.get(WINNER, [])),
        _latency(run, right, left_out, said.get(OVERHEAD, [])),
        _over_time(run, summaries),
        *_resources(summaries),
    ]
    return [chart for chart in made if chart is not None]


def _without(models: list[str]) -> str:
    return f"; without {listed(models)}: not all calls were right" if models else ""


def _speedup(
    run: Run, summaries: dict[str, Summary], left_out: list[str], findings: list[str]
) -> Chart | None:
    known = {model: s for model, s in summaries.items() if s.speedup is not None}
    if len(known) < 2:
        return None
    values = {model: s.speedup.value for model, s in known.items() if s.speedup is not None}
    perfect = {model: at for model in known if (at := _perfect(run, model)) is not None}
    bound = longest_bound(run)
    marks = [*values.values(), *perfect.values(), 1.0]
    wide = max(marks) / min(marks) > _WIDE
    ends = [
        (s.speedup.low, s.speedup.high) for s in known.values() if s.speedup is not None and s.speedup.known
    ]
    low = (
        max(min(marks) / (2 * _BEYOND), min([0.85 * min(marks), *(low for low, _ in ends)])) if wide else 0.0
    )
    high = min(_BEYOND * max(marks), max([1.08 * max(marks), *(high for _, high in ends)]))
    rows: list[dict[str, Any]] = []
    for model, summary in known.items():
        of = summary.speedup
        assert of is not None  # noqa: S101 - for the type checker
        row: dict[str, Any] = {
            "model": model,
            "what": "speedup",
            "speedup": of.value,
            "text": f"{digits(of.value)}×",
        }
        row["told"] = f"{interval(of)}, from {summary.rounds} rounds" if of.known else "one round: unknown"
        if of.known and model != SEQUENTIAL:
            row |= {"low": max(low, of.low), "high": min(high, of.high)}
            if of.high > high:
                rows.append({"model": model, "what": "beyond", "speedup": high})
            if of.low < low:
                rows.append({"model": model, "what": "before", "speedup": low})
        row["ideal"] = digits(perfect[model]) if model in perfect else NONE
        rows.append(row)
    rows += [{"model": model, "what": "ideal", "speedup": value} for model, value in perfect.items()]
    lines: list[dict[str, Any]] = [{"speedup": 1.0, "text": ""}]
    if bound is not None and low <= bound[0] <= high:
        lines.append({"speedup": bound[0], "text": f"the longest call's bound: {digits(bound[0])}×"})

    series = colours(known)
    scale = alt.Scale(
        type="log" if wide else "linear", domain=[low, high], rangeMax=label_room(6), nice=False, clamp=True
    )
    ticks = {"values": log_ticks(low, high), "labelExpr": NUMBER_LABEL} if wide else {"tickCount": 6}
    x = alt.X("speedup:Q", scale=scale, axis=axis("times as fast as sequential", **ticks))
    y = alt.Y("model:N", sort=list(series), axis=alt.Axis(title=None, domain=False, ticks=False))
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("text:N", title="speedup"),
        alt.Tooltip("told:N", title="95 % confidence"),
        alt.Tooltip("ideal:N", title="ideal"),
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y, x=x)
    points = base.transform_filter("datum.what == 'speedup'").encode(
        color=colour(series, legend=False), tooltip=tooltip
    )
    spread = points.transform_filter("isValid(datum.low)")
    rules = alt.Chart(alt.InlineData(values=lines)).encode(x=x)
    cut: tuple[tuple[str, str, Literal["left", "right"], int], ...] = (
        ("before", "◂", "left", -2),
        ("beyond", "▸", "right", 2),
    )
    figure = alt.layer(
        rules.mark_rule(strokeDash=[5, 4], opacity=0.7),
        # Above the models' names there is room for it, too.
        rules.mark_text(align="left", baseline="bottom").encode(
            text="text:N", x=within("scale('x', datum.speedup) + 3", -100), y=alt.value(-3)
        ),
        base.transform_filter("datum.what == 'ideal'")
        .mark_tick(thickness=3, size=22, opacity=0.55)
        .encode(color=colour(series, legend=False)),
        spread.mark_bar(height=5, opacity=0.35, cornerRadius=2).encode(
            x=alt.X("low:Q", scale=scale), x2="high:Q"
        ),
        *(
            base.transform_filter(f"datum.what == '{what}'")
            .mark_text(text=sign, align=align, dx=dx, fontSize=16)
            .encode(color=colour(series, legend=False))
            for what, sign, align, dx in cut
        ),
        points.mark_point(filled=True, size=110, opacity=1),
        base.transform_filter("datum.what == 'speedup'")
        # Beside the line at 1, and not on it.
        .mark_text(
            dy=-13,
            dx=alt.expr("datum.speedup < 1 ? -4 : 4"),
            align=alt.expr("datum.speedup < 1 ? 'right' : 'left'"),
            fontWeight=600,
        )
        .encode(text="text:N"),
    ).properties(width="container", height=alt.Step(38))
    parts = [
        f"{model} {digits(values[model])} times" + (f" ({interval(s.speedup)})" if s.speedup.known else "")
        for model, s in known.items()
        if s.speedup is not None and model != SEQUENTIAL
    ]
    limit = (
        ""
        if bound is None
        else (
            f" The longest call, {bound[1]}, allows {digits(bound[0])} times, whatever the number of workers."
        )
    )
    return finished(
        figure,
        name="speedup",
        title=f"Speedup, with its 95 % confidence interval; the ticks are the ideal{_without(left_out)}",
        alt_text=(
            f"A point with an interval for each model{_without(left_out)}. As fast as sequential: "
            f"{listed(parts)}.{limit}"
        ),
        series=series,
        findings=findings,
    )


def _perfect(run: Run, model: str) -> float | None:
    """Return the speedup if the work were cut at will and shared by all workers; None without sequential."""
    both = pairs(run, model, SEQUENTIAL)
    if not both or model == SEQUENTIAL:
        return None
    values = sorted(
        makespan(twin.trace) / demand
        for leg, twin in both
        if (demand := shared(twin, leg.at_once, cores(run, leg))) > 0
    )
    return values[len(values) // 2] if values else None


def _latency(
    run: Run, summaries: dict[str, Summary], left_out: list[str], findings: list[str]
) -> Chart | None:
    rows: list[dict[str, Any]] = []
    for model in summaries:
        ended = [row for leg in complete(run, model) for row in leg.trace]
        times = np.sort([row.delivered - row.submitted for row in ended if row.error is None])
        if not len(times) or times[-1] <= 0:  # the axis is logarithmic
            continue
        times = np.maximum(times, times[times > 0][0])
        marks = dict(zip(_MARKED, np.percentile(times, _MARKED), strict=True))
        # A percentile, as numpy has it, may lie between two calls: its mark is on the step there.
        by_then = {p: int(np.searchsorted(times, value * (1 + 1e-9), "right")) for p, value in marks.items()}
        evenly = np.linspace(1, len(times), min(_POINTS, len(times))).round().astype(int).tolist()
        steps = [(times[0], 0), *((times[n - 1], n) for n in sorted({*evenly, *by_then.values()}))]
        rows += [
            {"model": model, "what": "curve", "seconds": _short(value), "share": _short(n / len(ended))}
            for value, n in steps
        ]
        rows += [
            {
                "model": model,
                "what": "mark",
                "seconds": _short(value),
                "share": _short(by_then[percentile] / len(ended)),
                "percentile": f"p{percentile}",
                "told": seconds(float(value)),
            }
            for percentile, value in marks.items()
        ]
    if not rows:
        return None
    series = colours(dict.fromkeys(row["model"] for row in rows))
    domain = log_span(min(row["seconds"] for row in rows), max(row["seconds"] for row in rows))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "seconds:Q",
            scale=alt.Scale(type="log", domain=domain, nice=False),
            axis=axis(
                "sojourn time, from due to delivered",
                labelExpr=SECONDS_LABEL,
                values=log_ticks(*domain),
                labelFlush=True,
            ),
        ),
        y=alt.Y(
            "share:Q",
            scale=alt.Scale(domain=[0, 1]),
            axis=upright("calls delivered", labelExpr=SHARE_LABEL, tickCount=5),
        ),
        color=colour(series),
    )
    figure = alt.layer(
        base.transform_filter("datum.what == 'curve'").mark_line(
            interpolate="step-after", strokeWidth=2, aria=False
        ),
        base.transform_filter("datum.what == 'mark'")
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            shape=alt.Shape(
                "percentile:N",
                scale=alt.Scale(
                    domain=[f"p{p}" for p in _MARKED], range=["circle", "diamond", "triangle-up"]
                ),
                legend=alt.Legend(title=None),
            ),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("percentile:N", title="percentile"),
                alt.Tooltip("told:N", title="sojourn time"),
            ],
        ),
    ).properties(width="container", height=300)
    told = [
        f"{model}: "
        + listed(
            [f"{row['percentile']} {row['told']}" for row in rows if row["model"] == model and "told" in row]
        )
        for model in series
    ]
    return finished(
        figure,
        name="latency",
        title=f"Latency: the share of calls that was delivered by then{_without(left_out)}",
        alt_text=(
            f"Rising steps for each model{_without(left_out)}. They are of all rounds' calls, p50, p90 and "
            f"p99 marked. {'; '.join(told)}."
        ),
        series=series,
        findings=findings,
    )


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _over_time(run: Run, summaries: dict[str, Summary]) -> Chart | None:
    """Draw memory, threads and busy cores in the median round; None where it was too short for lines."""
    legs = {model: leg for model in summaries if (leg := middle(run, model)) is not None}
    rows: list[dict[str, Any]] = []
    for model, leg in legs.items():
        beginning = Sample(time=0.0, cpu=0.0, memory=0, threads=0, processes=0, switches=0)
        for before, sample in itertools.pairwise([beginning, *leg.samples]):
            passed = sample.time - before.time
            if passed <= 0:
                continue
            busy = max(0.0, sample.cpu - before.cpu) / passed
            rows.append(
                {
                    "model": model,
                    "time": _short(sample.time),
                    "memory": _short(sample.memory / 1e6),
                    "threads": sample.threads,
                    "cores": _short(busy),
                    "told": f"{megabytes(sample.memory)}, {counted(sample.threads, 'thread')}, "
                    f"{digits(busy)} cores busy",
                }
            )
    if max((sum(row["model"] == model for row in rows) for model in legs), default=0) < _FEWEST_SAMPLES:
        return None
    series = colours(dict.fromkeys(row["model"] for row in rows))
    unit, unit_name = time_unit(max(row["time"] for row in rows))
    for row in rows:
        row["time"] = _short(row["time"] / unit)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("time:Q", scale=alt.Scale(nice=False, domainMin=0), axis=axis(None, tickCount=8)),
        color=colour(series),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("time:Q", title=unit_name),
            alt.Tooltip("told:N", title=" "),
        ],
    )
    panels = []
    for field, title in (("memory", "memory, MB"), ("threads", "threads"), ("cores", "cores busy")):
        panel = base.encode(
            y=alt.Y(
                f"{field}:Q",
                scale=alt.Scale(domainMin=0),
                axis=upright(title, tickCount=4, labelExpr=NUMBER_LABEL),
            )
        )
        if field == "cores":
            panel = panel.encode(
                x=alt.X(
                    "time:Q",
                    scale=alt.Scale(nice=False, domainMin=0),
                    axis=axis(f"{unit_name} since the calls began", tickCount=8),
                )
            )
        panels.append(
            alt.layer(
                panel.mark_line(strokeWidth=2, aria=False),
                panel.mark_point(filled=True, size=22, opacity=1),
            ).properties(width="container", height=120)
        )
    peaks = [
        f"{model} {megabytes(leg.resources.memory)} and {counted(leg.resources.threads, 'thread')}"
        for model, leg in legs.items()
    ]
    return finished(
        alt.vconcat(*panels, spacing=30),
        name="resources",
        title="Memory, threads and busy cores over time, in the median round",
        alt_text=f"Three panels with a line for each model. At most: {'; '.join(peaks)}.",
        series=series,
    )


def _resources(summaries: dict[str, Summary]) -> list[Chart]:
    """Return bars of what each model used at most: memory, threads and CPU time."""
    figures: tuple[tuple[str, str, Callable[[Summary], float], Callable[[float], str]], ...] = (
        (
            "memory",
            "Memory at most, MB",
            lambda s: s.resources.memory / 1e6,
            lambda v: megabytes(int(v * 1e6)),
        ),
        ("threads", "Threads at most", lambda s: s.resources.threads, lambda v: f"{v:.0f}"),
        ("cpu", "CPU time, s", lambda s: s.resources.cpu, seconds),
    )
    series = colours(summaries)
    made = []
    for name, title, figure, written in figures:
        rows: list[dict[str, Any]] = [
            {"model": m, "value": _short(figure(s)), "text": written(figure(s))} for m, s in summaries.items()
        ]
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            y=alt.Y("model:N", sort=list(series), axis=alt.Axis(title=None, domain=False, ticks=False)),
            x=alt.X(
                "value:Q",
                axis=None,
                scale=alt.Scale(
                    domain=[0, max(row["value"] for row in rows) or 1], rangeMax=label_room(9), nice=False
                ),
            ),
            tooltip=[alt.Tooltip("model:N"), alt.Tooltip("text:N", title=title)],
        )
        bars = base.mark_bar(height={"band": 0.62}, cornerRadiusEnd=2).encode(
            color=colour(series, legend=False)
        )
        text = base.mark_text(align="left", dx=5).encode(text="text:N")
        told = listed([f"{row['model']} {row['text']}" for row in rows])
        made.append(
            finished(
                alt.layer(bars, text).properties(width="container", height=alt.Step(24)),
                name=name,
                title=title,
                alt_text=f"A bar for each model: {told}. Of all processes involved.",
                series=series,
                small=True,
            )
        )
    return made
