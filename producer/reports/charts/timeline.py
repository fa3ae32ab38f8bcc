"""The timeline of a comparison: what each worker of each model did when, all on the same time axis.

A lane is a worker: a thread, or a process. Where calls overlap on one worker, as on an event loop, or where
there are more workers than can be shown, as with a thread for each call, calls are packed into as few lanes
as hold them.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from producer.measurement.run import Leg, Run
from producer.measurement.summary import complete, makespan
from producer.measurement.trace import Row, Trace
from producer.reports.charts import Chart
from producer.reports.charts.style import axis, colour, colours, finished, time_unit
from producer.reports.words import counted, percent, seconds

#: Lanes shown of each model.
MOST_LANES = 12
#: Bars in the whole chart, about; and in a lane at least, however many lanes there are.
MOST_BARS, FEWEST_BARS = 1200, 20
#: Characters of a call's source text, and of an error, that a tooltip shows.
_MOST_TEXT = 100
#: How opaque waiting is; what runs is 1.
_TONE = 0.28
#: The height of a lane, in pixels.
_LANE = 15
#: The models whose workers are processes.
_PROCESSES = ("process-pool", "broker-queue", "broker-queue-batched")

Lane = list[Row]


@dataclass(frozen=True, slots=True)
class Bar:
    """A call in its lane, or several that are too short to be told apart.

    Attributes:
        free: since when the worker was free: the end of the call before, or the start of the round. Between
            that and `start` the call waited, although a worker was free.
        start, end: when it ran; seconds since the first submission.
        busy: the share of that time during which a call ran.
        rows: the calls.
    """

    free: float
    start: float
    end: float
    busy: float
    rows: tuple[Row, ...]


def middle(run: Run, model: str) -> Leg | None:
    """Return the round of a model that has the median makespan; None if it has none."""
    legs = sorted(complete(run, model), key=lambda leg: makespan(leg.trace))
    return legs[(len(legs) - 1) // 2] if legs else None


def lanes(trace: Trace) -> list[Lane]:
    """Return the calls that ran, lane by lane, in each by their start."""
    ran = sorted((row for row in trace if row.started is not None and row.finished is not None), key=_start)
    workers: dict[str, list[Row]] = defaultdict(list)
    for row in ran:
        workers[row.worker].append(row)
    if len(workers) > MOST_LANES:
        return _packed(ran)
    return [lane for rows in workers.values() for lane in _packed(rows)]


def _start(row: Row) -> float:
    return row.started or 0.0


def _packed(rows: Sequence[Row]) -> list[Lane]:
    """Put calls, sorted by their start, each into the first lane that is free then: as few as can hold them.

    That is the greedy colouring of an interval graph: Gupta, Lee and Leung, "An optimal solution for the
    channel-assignment problem", IEEE Trans. Computers C-28 (1979).
    """
    packed: list[Lane] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for row in rows:
        while busy and busy[0][0] <= _start(row):
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane = len(packed)
            packed.append([])
        packed[lane].append(row)
        heapq.heappush(busy, (row.finished or 0.0, lane))
    return packed


def shown(found: Sequence[Lane]) -> list[Lane]:
    """Return at most `MOST_LANES` of the lanes, evenly chosen; the one with the longest call among them."""
    if len(found) <= MOST_LANES:
        return list(found)
    chosen = [round(place * (len(found) - 1) / (MOST_LANES - 1)) for place in range(MOST_LANES)]
    longest = max(range(len(found)), key=lambda place: max(_service(row) for row in found[place]))
    if longest not in chosen:
        nearest = min(range(MOST_LANES), key=lambda place: abs(chosen[place] - longest))
        chosen[nearest] = longest
    return [found[place] for place in chosen]


def _service(row: Row) -> float:
    return (row.finished or 0.0) - (row.started or 0.0)


def bars(lane: Lane, most: int) -> list[Bar]:
    """Return what to draw of a lane: a bar for each call, or about `most` where there are more calls.

    Calls that are shorter than the lane divided by `most` are then drawn together, over stretches of that
    length, and each stretch has its share of busy time: nothing is left out, and nothing looks busy that was
    not.
    """
    if not lane:
        return []
    width = 0.0
    if len(lane) > most:
        width = (max(row.finished or 0.0 for row in lane) - _start(lane[0])) / most
    made: list[Bar] = []
    free = min(row.submitted for row in lane)
    group: list[Row] = []

    def close() -> None:
        nonlocal free
        if group:
            start, end = _start(group[0]), max(row.finished or 0.0 for row in group)
            busy = math.fsum(map(_service, group)) / (end - start) if end > start else 1.0
            made.append(Bar(min(free, start), start, end, min(1.0, busy), tuple(group)))
            free = end
            group.clear()

    for row in lane:
        alone = _service(row) >= width
        if group and (alone or (row.finished or 0.0) - _start(group[0]) > width):
            close()
        group.append(row)
        if alone:
            close()
    close()
    return made


def timeline(run: Run, findings: Sequence[str]) -> Chart | None:
    """Return the chart; None if no call of any model ran."""
    legs = {model: leg for model in run.models if (leg := middle(run, model)) is not None}
    drawn = {model: shown(lanes(leg.trace)) for model, leg in legs.items()}
    drawn = {model: found for model, found in drawn.items() if found}
    if not drawn:
        return None
    longest = max(makespan(legs[model].trace) for model in drawn)
    unit, unit_name = time_unit(longest)
    most = max(FEWEST_BARS, MOST_BARS // sum(map(len, drawn.values())))
    records: list[dict[str, Any]] = []
    for place, (model, found) in enumerate(drawn.items()):
        whole = legs[model].trace
        text = f"{model} · {seconds(makespan(whole))} · {_workers(model, whole, found)}"
        head = {"model": model, "what": "head", "start": 0.0}
        records += [
            {**head, "lane": _key(place, 0), "text": ""},
            {**head, "lane": _key(place, 1), "text": text},
        ]
        for number, lane in enumerate(found):
            for bar in bars(lane, most):
                records += _records(run, model, _key(place, number + 2), bar, unit)
    series = colours(drawn)
    return finished(
        _figure(records, series, longest / unit, f"{unit_name} since the first submission"),
        name="timeline",
        title="Timeline: each worker's calls, in the median round",
        alt_text=_alt(legs, drawn, longest),
        series=series,
        findings=findings,
    )


def _key(model: int, lane: int) -> str:
    return f"{model:02}-{lane:02}"


def _round(value: float) -> float:
    return float(f"{value:.5g}")


def _records(run: Run, model: str, lane: str, bar: Bar, unit: float) -> list[dict[str, Any]]:
    """Return a bar as data: with when its worker was free, if that was earlier; and a mark if it failed."""
    start, end = _round(bar.start / unit), _round(bar.end / unit)
    told: dict[str, Any] = {"call": _calls(run, bar.rows), "worker": bar.rows[0].worker}
    if len(bar.rows) == 1:
        row = bar.rows[0]
        told["waited"] = seconds(_start(row) - row.submitted)
        told["ran"] = seconds(_service(row))
        told["delivered"] = f"{seconds(row.delivered - row.submitted)} after its submission"
    else:
        told["waited"] = f"{seconds(max(_start(row) - row.submitted for row in bar.rows))} at most"
        told["ran"] = f"{percent(bar.busy)} of {seconds(bar.end - bar.start)}"
        told["delivered"] = f"{seconds(max(row.delivered - row.submitted for row in bar.rows))} at most"
    errors = [row.error for row in bar.rows if row.error is not None]
    if errors:
        told["ran"] += f"; {len(errors)} failed: {errors[0][:_MOST_TEXT]}"
    record = {"model": model, "lane": lane, "what": "run", "start": start, "end": end}
    record |= {"busy": _round(bar.busy), **told}
    if bar.start > bar.free:
        record["free"] = _round(bar.free / unit)
    if len(bar.rows) > 1:
        record["calls"] = len(bar.rows)
    if not errors:
        return [record]
    return [record, {**record, "what": "error", "start": _round((bar.start + bar.end) / 2 / unit)}]


def _calls(run: Run, rows: Sequence[Row]) -> str:
    first = run.calls[rows[0].call]
    text = first if len(first) <= _MOST_TEXT else f"{first[: _MOST_TEXT - 1]}…"
    return text if len(rows) == 1 else f"{counted(len(rows), 'call')}, {text} the first of them"


def _workers(model: str, trace: Trace, found: Sequence[Lane]) -> str:
    """Say what the lanes are."""
    workers = {row.worker for row in trace if row.worker}
    processes = {worker.rsplit("/", 1)[0] for worker in workers}
    by_process = model in _PROCESSES or len(processes) > 1
    number, noun = (len(processes), "process") if by_process else (len(workers), "thread")
    said = f"{number:,} {noun if number == 1 else noun + ('es' if noun == 'process' else 's')}"
    in_all = len(lanes(trace))
    if in_all > len(found):
        return f"{said}, {len(found)} of {in_all:,} lanes shown"
    if number == len(found):
        return said
    return f"{said}, up to {counted(len(found), 'call')} at a time"


def _figure(records: list[dict[str, Any]], series: dict[str, str], most: float, title: str) -> Any:
    x = alt.X(
        "start:Q",
        scale=alt.Scale(domain=[0, most], nice=False),
        axis=axis(title, tickCount=8, labelFlush=True),
    )
    y = alt.Y("lane:N", axis=None, scale=alt.Scale(paddingInner=0.18, paddingOuter=0.1))
    tooltip = [
        alt.Tooltip(f"{field}:N", title=title)
        for field, title in (
            ("model", "model"),
            ("call", "call"),
            ("worker", "worker"),
            ("waited", "waited"),
            ("ran", "ran"),
            ("delivered", "delivered"),
        )
    ]
    base = alt.Chart(alt.InlineData(values=records)).encode(x=x, y=y)
    calls = base.encode(color=colour(series, legend=False), tooltip=tooltip)
    waits = (
        calls.transform_filter("datum.what == 'run' && isValid(datum.free)")
        .mark_bar(opacity=_TONE, aria=False)
        .encode(x=alt.X("free:Q"), x2="start:Q")
    )
    tone = alt.Opacity("busy:Q", scale=alt.Scale(domain=[0, 1], range=[_TONE, 1]), legend=None)
    runs = (
        calls.transform_filter("datum.what == 'run'")
        .mark_bar(aria=False, stroke="white", strokeOpacity=0.6)
        .encode(
            x2="end:Q",
            opacity=tone,
            strokeWidth=alt.condition("isValid(datum.calls)", alt.value(0), alt.value(0.6)),
        )
    )
    errors = (
        base.transform_filter("datum.what == 'error'")
        .mark_text(text="✕", fontWeight="bold", aria=False)
        .encode(tooltip=tooltip)
    )
    heads = (
        base.transform_filter("datum.what == 'head'")
        .mark_text(
            align="left", baseline="middle", fontWeight=600, dy=-1, limit={"expr": "width"}, aria=False
        )
        .encode(text="text:N")
    )
    return alt.layer(waits, runs, errors, heads).properties(width="container", height=alt.Step(_LANE))


def _alt(legs: dict[str, Leg], drawn: dict[str, list[Lane]], longest: float) -> str:
    parts = []
    for model, found in drawn.items():
        rows = [row for lane in found for row in lane]
        last = max(rows, key=_service)
        trace = legs[model].trace
        parts.append(
            f"{model}: {_workers(model, trace, found)}, done after {seconds(makespan(trace))}, "
            f"the longest call from {seconds(_start(last))} to {seconds(last.finished or 0.0)}"
        )
    return (
        f"Bars along a time axis from 0 to {seconds(longest)}, a lane for each worker, the models below each "
        f"other; the waiting before a call is lighter. {'; '.join(parts)}."
    )
