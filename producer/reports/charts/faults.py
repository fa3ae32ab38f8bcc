"""The charts of the drill: what was delivered when while workers were killed, and how each call recovered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import numpy as np

from producer.experiments.faults import Drill, Drills
from producer.reports.charts import Chart
from producer.reports.charts.style import axis, colour, colours, finished, label_room, upright
from producer.reports.faults import findings
from producer.reports.words import counted, listed, seconds

#: Points of a curve of deliveries.
_POINTS = 250
_TIME = "seconds since the first submission"


def charts(result: Drills) -> list[Chart]:
    """Return the charts of the drills, as far as there is something to draw."""
    drills = [drill for drill in result.drills if drill.deliveries or drill.kill_times]
    if not drills:
        return []
    series = colours(drill.name for drill in drills)
    made = [_deliveries(drills, series, findings(result.plan, result.drills))]
    if any(drill.cuts for drill in drills):
        made.append(_recoveries(drills, series))
    return made


def _deliveries(drills: Sequence[Drill], series: dict[str, str], said: list[str]) -> Chart:
    end = max(1.0, *(time for drill in drills for time in (*drill.deliveries, *drill.kill_times)))
    rows: list[dict[str, Any]] = []
    for drill in drills:
        rows.append({"settings": drill.name, "what": "curve", "time": 0.0, "delivered": 0})
        count = len(drill.deliveries)
        for place in np.unique(np.linspace(0, count - 1, min(_POINTS, count)).round().astype(int)):
            time = drill.deliveries[place]
            rows.append({"settings": drill.name, "what": "curve", "time": time, "delivered": int(place) + 1})
        rows.append({"settings": drill.name, "what": "curve", "time": end, "delivered": drill.delivered})
        for number, time in enumerate(drill.kill_times, 1):
            told = f"kill {number}, at {seconds(time)}"
            by_then = sum(delivery <= time for delivery in drill.deliveries)
            row = {"settings": drill.name, "what": "kill", "time": time, "delivered": by_then, "told": told}
            rows.append(row)
    # What did not come is written beside the ends of the lines, where there is room: the first a bit higher
    # than the others.
    lost = sorted((drill for drill in drills if drill.lost), key=lambda drill: -drill.delivered)
    for place, drill in enumerate(lost):
        row = {"settings": drill.name, "what": "lost", "time": end, "delivered": drill.delivered}
        rows.append({**row, "side": "below" if place else "above", "text": f"{drill.lost} lost"})
    calls = max(drill.calls for drill in drills)
    room = label_room(max(len(row["text"]) for row in rows if "text" in row) + 1) if lost else alt.Undefined
    scale = alt.Scale(domain=[0, end], rangeMax=room, nice=False)
    x = alt.X("time:Q", scale=scale, axis=axis(_TIME, tickCount=8))
    y = alt.Y(
        "delivered:Q",
        scale=alt.Scale(domain=[0, calls * 1.04], nice=False),
        axis=upright("results delivered", tickCount=6),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y)
    coloured = base.encode(color=colour(series, "settings"))
    all_calls = alt.Chart(alt.InlineData(values=[{"delivered": calls}])).encode(y=y)
    sides: tuple[tuple[str, Literal["bottom", "top"], int], ...] = (
        ("above", "bottom", 4),
        ("below", "top", -4),
    )
    figure = alt.layer(
        all_calls.mark_rule(strokeDash=[5, 4], opacity=0.6),
        coloured.transform_filter("datum.what == 'curve'").mark_line(
            interpolate="step-after", strokeWidth=2, aria=False
        ),
        coloured.transform_filter("datum.what == 'kill'")
        .mark_point(shape="triangle-down", filled=True, size=130, opacity=1, yOffset=-8)
        .encode(tooltip=[alt.Tooltip("settings:N"), alt.Tooltip("told:N", title=" ")]),
        *(
            base.transform_filter(f"datum.side == '{side}'")
            .mark_text(align="left", baseline=baseline, dy=dy, dx=6)
            .encode(text="text:N")
            for side, baseline, dy in sides
        ),
    ).properties(width="container", height=300)
    summary = [
        f"{drill.name}: {drill.delivered} of {drill.calls} by {seconds(drill.seconds)}, "
        f"{counted(len(drill.kill_times), 'kill')} at {listed([seconds(time) for time in drill.kill_times])}"
        for drill in drills
    ]
    return finished(
        figure,
        name="deliveries",
        title="Results delivered while workers are killed (triangles)",
        alt_text=(
            "A rising line for each kind of settings, level where nothing was delivered. "
            f"{'; '.join(summary)}."
        ),
        series=series,
        field="settings",
        findings=said,
    )


def _recoveries(drills: Sequence[Drill], series: dict[str, str]) -> Chart:
    end = max(time for drill in drills for time in (*drill.deliveries, *drill.kill_times))
    rows: list[dict[str, Any]] = []
    for place, drill in enumerate(drills):
        head = {"settings": drill.name, "what": "head", "lane": f"{place:02}", "killed": 0.0}
        came = sum(cut.delivered is not None for cut in drill.cuts)
        rows += [
            {**head, "lane": f"{place:02}-a", "text": ""},
            {**head, "lane": f"{place:02}-b", "text": f"{drill.name} · {came} of {len(drill.cuts)} came"},
            {**head, "lane": f"{place:02}-c", "text": ""},
        ]
        for number, cut in enumerate(drill.cuts):
            row = {"settings": drill.name, "lane": f"{place:02}-d{number:04}", "killed": cut.killed}
            row["call"] = f"{cut.call}, cut short at {seconds(cut.killed)}"
            if cut.delivered is None:
                rows.append({**row, "what": "lost", "told": "never"})
            else:
                told = f"{seconds(cut.delivered - cut.killed)} after the kill"
                rows.append({**row, "what": "came", "delivered": cut.delivered, "told": told})
    x = alt.X("killed:Q", scale=alt.Scale(domain=[0, end], nice=False), axis=axis(_TIME, tickCount=8))
    lanes = len({row["lane"] for row in rows})
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=alt.Y("lane:N", axis=None))
    tooltip = [
        alt.Tooltip("settings:N"),
        alt.Tooltip("call:N"),
        alt.Tooltip("told:N", title="its result came"),
    ]
    coloured = base.encode(color=colour(series, "settings", legend=False), tooltip=tooltip)
    figure = alt.layer(
        coloured.transform_filter("datum.what == 'came'")
        .mark_bar(height={"band": 0.7})
        .encode(x2="delivered:Q"),
        coloured.transform_filter("datum.what == 'lost'").mark_text(text="✕", fontSize=9, fontWeight="bold"),
        base.transform_filter("datum.what == 'head'")
        .mark_text(align="left", baseline="middle", fontWeight=600, limit={"expr": "width"})
        .encode(text="text:N"),
    ).properties(width="container", height=alt.Step(min(9, max(4, 600 // lanes))))
    summary = [
        f"{drill.name}: {sum(cut.delivered is not None for cut in drill.cuts)} of {len(drill.cuts)} came"
        + (f", {seconds(max(drill.recoveries))} after the kill at most" if drill.recoveries else "")
        for drill in drills
    ]
    return finished(
        figure,
        name="recoveries",
        title="The calls that kills cut short: from the kill to the delivery (✕: never)",
        alt_text=f"A bar for each call that was cut short. {'; '.join(summary)}.",
        series=series,
        field="settings",
    )
