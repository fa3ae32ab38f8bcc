"""The chart of futures' lives: each future a lane, its states one after another, one act after the other."""

from __future__ import annotations

from typing import Any

import altair as alt

from producer.experiments.futures import GAVE_UP, NO_RESULT, NOT_DONE, Event, Lives
from producer.reports.charts import Chart
from producer.reports.charts.style import axis, colour, finished
from producer.reports.futures import states, stopping
from producer.reports.words import counted, listed, seconds

#: Futures of a model that are shown.
_MOST = 40
#: The height of a lane, in pixels.
_LANE = 15
#: The marks, and their colours: of the same palette as the models', which are not told apart by colour here.
_COLOURS = {
    "PENDING": "#808080",
    "RUNNING": "#0072b2",
    "FINISHED": "#009e73",
    "CANCELLED": "#d55e00",
    "gave up": "#cc79a7",
}
_GAVE_UP = (GAVE_UP, NO_RESULT, NOT_DONE)


def charts(lives: Lives) -> list[Chart]:
    """Return the chart, if anything happened."""
    lanes = {model: _lanes(lives, model) for model in lives.models}
    lanes = {model: found for model, found in lanes.items() if found}
    if not lanes:
        return []
    records: list[dict[str, Any]] = []
    for place, (model, found) in enumerate(lanes.items()):
        more = f", {_MOST} of them shown" if len(found) > _MOST else ""
        text = f"{model} · {counted(len(found), 'future')}{more}"
        head = {"what": "head", "start": 0.0}
        records += [
            {**head, "lane": f"{place:02}-000", "text": ""},
            {**head, "lane": f"{place:02}-001", "text": text},
        ]
        for number, events in enumerate(found[:_MOST], 2):
            records += [{"lane": f"{place:02}-{number:03}", **record} for record in _records(events)]
    seen = {record["state"] for record in records if "state" in record}
    series = {state: colour for state, colour in _COLOURS.items() if state in seen}
    last = max(record.get("end", record["start"]) for record in records)
    return [
        finished(
            _figure(records, series, last),
            name="lives",
            title="The life of each future, from its submission",
            alt_text=_alt(lives, lanes),
            series=series,
            field="state",
            findings=stopping(lives),
        )
    ]


def _lanes(lives: Lives, model: str) -> list[list[Event]]:
    """Return what happened to each future of a model, by its number."""
    by_number: dict[int, list[Event]] = {}
    for event in lives.events:
        if event.model == model:
            by_number.setdefault(event.number, []).append(event)
    return [by_number[number] for number in sorted(by_number)]


def _records(events: list[Event]) -> list[dict[str, Any]]:
    """Return a future as data: a bar for each state that lasted, and marks for its end and who gave up."""
    told = {"future": f"{events[0].number} {events[0].call}", "act": events[0].act}
    made: list[dict[str, Any]] = []
    for event, after in zip(events, [*events[1:], events[-1]], strict=True):
        if event.state in ("PENDING", "RUNNING") and after.time > event.time:
            if made and made[-1]["state"] == event.state:
                made[-1] |= {"end": after.time}
            else:
                made.append({"what": "state", "state": event.state, "start": event.time, "end": after.time})
    for record in made:
        record["told"] = f"{seconds(record['end'] - record['start'])}, from {seconds(record['start'])}"
    ended = next((event for event in events if event.state in ("FINISHED", "CANCELLED")), None)
    if ended is not None:
        last = next((event.detail for event in reversed(events) if "done() " in event.detail), "")
        made.append({"what": "end", "state": ended.state, "start": ended.time, "told": last or ended.event})
    made += [
        {"what": "gave up", "state": "gave up", "start": event.time, "told": event.detail or event.event}
        for event in events
        if event.event in _GAVE_UP
    ]
    return [{**told, **record} for record in made]


def _figure(records: list[dict[str, Any]], series: dict[str, str], last: float) -> Any:
    x = alt.X(
        "start:Q",
        scale=alt.Scale(domain=[0, last * 1.02], nice=False),
        axis=axis("seconds since the model's first submission", tickCount=8, labelFlush=True),
    )
    y = alt.Y("lane:N", axis=None, scale=alt.Scale(paddingInner=0.25, paddingOuter=0.1))
    tooltip = [alt.Tooltip(f"{field}:N", title=field) for field in ("future", "act", "state")]
    tooltip.append(alt.Tooltip("told:N", title=" "))
    base = alt.Chart(alt.InlineData(values=records)).encode(x=x, y=y)
    marks = base.encode(color=colour(series, "state"), tooltip=tooltip)
    return alt.layer(
        marks.transform_filter("datum.what == 'state'")
        .mark_bar(aria=False)
        .encode(x2="end:Q", opacity=alt.condition("datum.state == 'PENDING'", alt.value(0.5), alt.value(1))),
        marks.transform_filter("datum.state == 'FINISHED'").mark_point(
            shape="circle", filled=True, size=70, opacity=1
        ),
        marks.transform_filter("datum.state == 'CANCELLED'").mark_point(
            shape="cross", filled=True, size=90, opacity=1, angle=45
        ),
        marks.transform_filter("datum.what == 'gave up'").mark_point(
            shape="triangle-down", filled=True, size=90, opacity=1
        ),
        base.transform_filter("datum.what == 'head'")
        .mark_text(align="left", baseline="middle", fontWeight=600, limit={"expr": "width"}, aria=False)
        .encode(text="text:N"),
    ).properties(width="container", height=alt.Step(_LANE))


def _alt(lives: Lives, lanes: dict[str, list[list[Event]]]) -> str:
    parts = [
        f"{model}: {counted(len(found), 'future')}, seen {listed(states(lives, model))}"
        for model, found in lanes.items()
    ]
    return (
        "Bars along a time axis, a lane for each future, the models below each other: grey while it is "
        "pending, blue while its call runs; a dot where it is finished, a cross where it is cancelled, a "
        f"triangle where somebody gave up waiting. {'; '.join(parts)}."
    )
