"""The charts of an event loop's heartbeat: how late it was in each way, and when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import altair as alt
import numpy as np

from producer.experiments.blocking import IDLE, Heartbeats, Leg
from producer.reports.blocking import beats, findings
from producer.reports.charts import Chart
from producer.reports.charts.style import (
    SECONDS_LABEL,
    SHARE_LABEL,
    axis,
    colour,
    colours,
    finished,
    log_ticks,
    upright,
)
from producer.reports.words import listed, seconds

#: The colour of a leg without calls, which is no model's.
_IDLE_COLOUR = "#8a63d2"
#: A beat less late than this, in seconds, is drawn as if it was so late: the axis is logarithmic.
_LEAST = 1e-4
#: Shares of the beats at which a distribution is drawn; finer where they come late.
_SHARES = (*(n / 100 for n in range(100)), 0.993, 0.996, 0.998, 0.999, 1.0)
#: Beats of a leg that are drawn over time.
_MOST = 150


def charts(result: Heartbeats) -> list[Chart]:
    """Return for each kind of work a chart of the lateness over time, and one of its distribution."""
    said = findings(result)
    made = []
    for place, work in enumerate(result.works, 1):
        if not beats(result, work):
            continue
        mine = [sentence for sentence in said if sentence.startswith(f"{work}: ")]
        made += [_over_time(result, work, place, mine), _distribution(result, work, place)]
    return made


def _ways(result: Heartbeats, work: str) -> dict[str, list[Leg]]:
    found = {way: [leg for leg in result.of(work, way) if leg.lateness] for way in (IDLE, *result.models)}
    return {way: legs for way, legs in found.items() if legs}


def _series(ways: Iterable[str]) -> dict[str, str]:
    return {way: _IDLE_COLOUR if way == IDLE else colour for way, colour in colours(ways).items()}


def _y(highest: float) -> alt.Y:
    domain = [_LEAST, max(highest, 10 * _LEAST) * 1.3]
    return alt.Y(
        "late:Q",
        scale=alt.Scale(type="log", domain=domain, nice=False, clamp=True),
        axis=upright("a beat's lateness", values=log_ticks(*domain), labelExpr=SECONDS_LABEL),
    )


def _missed(result: Heartbeats) -> Any:
    """Return a line: a beat above it came when the next one was due."""
    line = alt.Chart(alt.InlineData(values=[{"late": result.period}]))
    return line.mark_rule(strokeDash=[5, 4], opacity=0.7).encode(y="late:Q")


def _over_time(result: Heartbeats, work: str, place: int, said: list[str]) -> Chart:
    rows: list[dict[str, Any]] = []
    ways = _ways(result, work)
    for way, legs in ways.items():
        leg = legs[-1]  # one round is enough to see; the last one found everything warm
        for number, late in enumerate(leg.lateness[:_MOST], 1):
            row = {"way": way, "due": round(number * result.period, 4), "late": max(_LEAST, late / 1e6)}
            rows.append({**row, "told": seconds(late / 1e6)})
    series = _series(ways)
    data = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("due:Q", axis=axis("when the beat was due, in seconds", labelFlush=True)),
        y=_y(max(row["late"] for row in rows)),
        color=colour(series, "way"),
        tooltip=[alt.Tooltip("way:N"), alt.Tooltip("due:Q"), alt.Tooltip("told:N", title="late by")],
    )
    figure = alt.layer(
        _missed(result),
        data.mark_line(strokeWidth=1.5, aria=False),
        data.mark_point(filled=True, size=22, opacity=1),
    ).properties(width="container", height=300)
    latest = [f"{way} {seconds(max(legs[-1].lateness) / 1e6)}" for way, legs in ways.items()]
    return finished(
        figure,
        name=f"heartbeat-{place}",
        title=f"{work}: how late each beat came, in the last round; dashed: the next one was due",
        alt_text=(
            "A line for each way of making calls, over the time at which beats were due, on a logarithmic "
            f"axis. The latest beat: {listed(latest)}."
        ),
        series=series,
        field="way",
        findings=said,
    )


def _distribution(result: Heartbeats, work: str, place: int) -> Chart:
    rows: list[dict[str, Any]] = []
    ways = _ways(result, work)
    for way, legs in ways.items():
        lateness = np.concatenate([leg.lateness for leg in legs]) / 1e6
        for share, late in zip(_SHARES, np.quantile(lateness, _SHARES), strict=True):
            row = {"way": way, "share": share, "late": max(_LEAST, float(f"{late:.4g}"))}
            rows.append({**row, "told": seconds(float(late)), "beats": f"{100 * share:g} %"})
    series = _series(ways)
    data = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "share:Q",
            axis=axis("share of the beats that were less late", labelExpr=SHARE_LABEL, labelFlush=True),
        ),
        y=_y(max(row["late"] for row in rows)),
        color=colour(series, "way"),
        tooltip=[alt.Tooltip("way:N"), alt.Tooltip("beats:N"), alt.Tooltip("told:N", title="less late than")],
    )
    figure = alt.layer(
        _missed(result),
        data.mark_line(strokeWidth=2, aria=False),
        data.mark_point(filled=True, size=12, opacity=0),
    ).properties(width="container", height=300)
    p99 = [f"{way} {seconds(beat.p99)}" for way, beat in beats(result, work).items()]
    return finished(
        figure,
        name=f"lateness-{place}",
        title=f"{work}: lateness of all beats, in order; dashed: the next one was due",
        alt_text=(
            "A curve for each way of making calls: the lateness, on a logarithmic axis, over the share of "
            f"beats that were less late. 99 % were less late than: {listed(p99)}."
        ),
        series=series,
        field="way",
    )
