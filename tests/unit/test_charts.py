"""The charts: each can be drawn, and what it draws is what was measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st
from runs_for_tests import ENVIRONMENT, all_at_once, leg, one_after_another, rounds, run_of

from producer.experiments.break_even import Point, Sweep
from producer.experiments.faults import OURS, Cut, Drill, Drills, Plan
from producer.experiments.scale import Scaling
from producer.measurement.result import Result
from producer.measurement.run import Problem
from producer.measurement.summary import summarize
from producer.measurement.trace import Row, Trace
from producer.models import MODELS
from producer.reports.charts import Chart
from producer.reports.charts.files import VEGA_LITE, png, svg
from producer.reports.charts.style import DARK, MODEL_COLOURS, log_span, log_ticks
from producer.reports.charts.timeline import MOST_LANES, bars, lanes, shown
from producer.reports.report import EXPERIMENTS, charts_of, load_any, report_of

RUN = run_of(
    *rounds("sequential", [4.0, 4.1, 3.9]),
    *rounds("thread-pool", [2.0, 2.1, 1.9], at_once=4),
    models=("sequential", "thread-pool", "event-loop"),
    unavailable={"event-loop": "needs a coroutine function (async def)"},
)
SIZES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def sweep() -> Sweep:
    """Sequential has no cost; the process pool costs 1 ms a call, and does four at a time."""
    points = [
        Point(model, size, number, 10, 10 * (size if model == "sequential" else 1e-3 + size / 4) * mood)
        for size in SIZES
        for number, mood in enumerate((1.0, 1.02, 0.98), 1)
        for model in ("sequential", "process-pool")
    ]
    return Sweep(
        kind="cpu",
        sizes=SIZES,
        points=tuple(points),
        models=("sequential", "process-pool"),
        settings={"workers": 4},
        environment=ENVIRONMENT,
        began=0.0,
    )


DRILLS = Drills(
    plan=Plan(calls=4, seconds=1.0, kills=1, workers=1, processes=2, lease=2.0, bound=8.0),
    drills=(
        Drill(OURS, 4, 4, 0, 1, (2.0,), 5.0, 1, (1.0,), (0.5, 0.9, 3.0, 5.0), (Cut(2, 1.0, 3.0),)),
        Drill("Celery's defaults", 4, 2, 0, 1, (), 0.9, 1, (1.0,), (0.5, 0.9), (Cut(2, 1.0, None),)),
    ),
    environment=ENVIRONMENT,
    began=0.0,
    models=(),
    settings={"workers": 1},
)
#: And the runs that the documentation shows: real figures, of every experiment.
SAVED = sorted((Path(__file__).parents[2] / "docs" / "runs").glob("*.json"))
RESULTS: tuple[Result, ...] = (RUN, sweep(), DRILLS, *map(load_any, SAVED))
CHARTS = [(result, charts_of(result)) for result in RESULTS]
ALL = [pytest.param(chart, id=f"{r.experiment}-{chart.name}") for r, charts in CHARTS for chart in charts]


def chart_of(result: Result, name: str) -> Chart:
    return next(chart for chart in charts_of(result) if chart.name == name)


def rows(result: Result, name: str, **those: Any) -> list[dict[str, Any]]:
    return [
        row
        for row in chart_of(result, name).rows
        if all(row.get(field) == is_ for field, is_ in those.items())
    ]


@pytest.mark.parametrize("chart", ALL)
def test_every_chart_can_be_drawn_as_png_and_as_svg(chart: Chart) -> None:
    assert png(chart).startswith(b"\x89PNG")
    drawn = svg(chart)
    assert drawn.startswith("<svg")
    assert "NaN" not in drawn
    assert "undefined" not in drawn


@pytest.mark.parametrize("chart", ALL)
def test_every_chart_says_in_words_what_is_to_be_seen(chart: Chart) -> None:
    """The alternative text has figures of each series, and is the drawing's own description too."""
    assert chart.spec["description"] == chart.alt
    assert any(letter.isdigit() for letter in chart.alt)
    for name in chart.series:
        assert name in chart.alt


@pytest.mark.parametrize("chart", ALL)
def test_a_series_can_be_switched_off(chart: Chart) -> None:
    """All its data goes: what is left of the chart without any series has no data that names one."""
    spec = {**chart.spec, "params": [{"name": "hidden", "value": list(chart.series)}]}
    spec["params"] += [p for p in chart.spec["params"] if p["name"] != "hidden"]
    vega = vl_convert.vegalite_to_vega(spec, VEGA_LITE)
    filters = [t["expr"] for data in vega["data"] for t in data.get("transform", ()) if t["type"] == "filter"]
    assert any("hidden" in expression for expression in filters)


@pytest.mark.parametrize(("result", "charts"), CHARTS, ids=lambda one: getattr(one, "experiment", ""))
def test_findings_beside_a_chart_are_the_reports_own(result: Result, charts: list[Chart]) -> None:
    said = set(report_of(result).findings)
    for chart in charts:
        assert set(chart.findings) <= said, chart.name


def test_a_result_without_figures_has_no_charts() -> None:
    """Interrupted before anything was measured."""
    assert charts_of(run_of(models=("sequential",))) == []
    assert charts_of(replace(sweep(), points=())) == []
    assert charts_of(replace(DRILLS, drills=())) == []


def test_a_drill_that_was_saved_without_times_has_no_charts() -> None:
    assert charts_of(replace(DRILLS, drills=(Drill(OURS, 4, 4, 0, 2, (2.0, 3.0), 9.0, 1),))) == []


def test_every_experiment_has_charts() -> None:
    assert {result.experiment for result, charts in CHARTS if charts} == set(EXPERIMENTS)


def test_charts_of_a_result_have_names_of_their_own() -> None:
    for _, charts in CHARTS:
        names = [chart.name for chart in charts]
        assert len(names) == len(set(names))


# colours


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_model_has_a_colour_of_its_own() -> None:
    assert set(MODELS) <= set(MODEL_COLOURS)
    assert len(set(MODEL_COLOURS.values())) == len(MODEL_COLOURS)


@pytest.mark.parametrize("model", MODEL_COLOURS)
def test_every_colour_stands_out_on_a_light_and_on_a_dark_page(model: str) -> None:
    assert contrast(MODEL_COLOURS[model], "#ffffff") >= 3
    assert contrast(MODEL_COLOURS[model], DARK) >= 3


# timeline


def test_the_timeline_has_a_bar_for_each_call_and_a_lane_for_each_worker() -> None:
    run = run_of(
        leg("sequential", one_after_another(1.0, 2.0, 3.0)), leg("thread-pool", all_at_once(1.0, 2.0, 3.0))
    )
    drawn = rows(run, "timeline", what="run")
    assert len(drawn) == 6
    assert {model: len({row["lane"] for row in drawn if row["model"] == model}) for model in run.models} == {
        "sequential": 1,
        "thread-pool": 3,
    }
    assert [(row["start"], row["end"]) for row in drawn if row["model"] == "sequential"] == [
        (0, 1),
        (1, 3),
        (3, 6),
    ]


def test_waiting_is_drawn_from_when_the_worker_was_free() -> None:
    trace = Trace([Row(0, 0.0, 1.0, 2.0, 2.0, "host/1/a"), Row(1, 0.0, 2.5, 3.0, 3.0, "host/1/a")])
    drawn = rows(run_of(leg("thread-pool", trace)), "timeline", what="run")
    assert [(row["free"], row["start"]) for row in drawn] == [(0.0, 1.0), (2.0, 2.5)]
    assert [row["waited"] for row in drawn] == ["1.00 s", "2.50 s"]


def test_the_timeline_is_of_the_median_round() -> None:
    run = run_of(*rounds("sequential", [9.0, 4.0, 6.0]))
    assert max(row["end"] for row in rows(run, "timeline", what="run")) == 6.0


def test_a_call_that_failed_is_marked_with_its_error() -> None:
    trace = Trace([Row(0, 0.0, 0.0, 1.0, 1.0, "host/1/a", "ValueError: no")])
    run = run_of(leg("thread-pool", trace))
    assert [row["start"] for row in rows(run, "timeline", what="error")] == [0.5]
    assert "ValueError: no" in rows(run, "timeline", what="run")[0]["ran"]


def test_a_call_that_never_ran_has_no_bar() -> None:
    trace = Trace([Row(0, 0.0, None, None, 1.0, "", "Lost"), Row(1, 0.0, 0.0, 1.0, 1.0, "host/1/a")])
    assert len(rows(run_of(leg("thread-pool", trace)), "timeline", what="run")) == 1


calls = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10), st.integers(0, 30)), min_size=1, max_size=60)


def trace_of(drawn: Sequence[tuple[float, float, int]]) -> Trace:
    return Trace(Row(i, 0.0, s, s + t, s + t, f"host/1/{w}") for i, (s, t, w) in enumerate(drawn))


@given(calls)
def test_in_a_lane_calls_never_overlap_and_none_is_left_out(drawn: list[tuple[float, float, int]]) -> None:
    found = lanes(trace_of(drawn))
    assert sorted(row.call for lane in found for row in lane) == list(range(len(drawn)))
    for lane in found:
        for before, after in itertools.pairwise(lane):
            assert (before.finished or 0.0) <= (after.started or 0.0)


def test_more_workers_than_lanes_are_packed_into_as_few_as_hold_their_calls() -> None:
    """A thread for each of 100 calls, of which two run at a time."""
    trace = Trace(Row(i, 0.0, i / 2, i / 2 + 1, i / 2 + 1, f"host/1/{i}") for i in range(100))
    assert len(lanes(trace)) == 2


def test_of_too_many_lanes_the_one_with_the_longest_call_is_shown_and_the_choice_is_told() -> None:
    trace = all_at_once(*[1.0] * 70, 5.0, *[1.0] * 29)
    chosen = shown(lanes(trace))
    assert len(chosen) == MOST_LANES
    assert any(row.call == 70 for lane in chosen for row in lane)
    (head,) = [
        r for r in rows(run_of(leg("thread-per-request", trace)), "timeline", what="head") if r["text"]
    ]
    assert f"{MOST_LANES} of 100 lanes shown" in head["text"]


@given(calls, st.integers(2, 20))
def test_however_many_calls_a_lane_has_none_is_left_out_and_nothing_looks_busier(
    drawn: list[tuple[float, float, int]], most: int
) -> None:
    for lane in lanes(trace_of(drawn)):
        made = bars(lane, most)
        assert [row for bar in made for row in bar.rows] == lane
        assert len(made) <= 2 * most + 2
        busy = math.fsum(bar.busy * (bar.end - bar.start) for bar in made)
        assert busy == pytest.approx(math.fsum((r.finished or 0) - (r.started or 0) for r in lane), abs=1e-6)


def test_five_thousand_calls_on_every_model_stay_a_small_picture() -> None:
    trace = one_after_another(*[0.001] * 5000)
    run = run_of(*(leg(model, trace) for model in MODELS))
    drawn = rows(run, "timeline", what="run")
    assert len(drawn) < 3000
    assert sum(row.get("calls", 1) for row in drawn) == 5000 * len(MODELS)
    assert {row["busy"] for row in drawn} == {1.0}


@pytest.mark.parametrize(
    ("model", "workers"),
    [("process-pool", "1 process"), ("broker-queue", "1 process"), ("thread-pool", "1 thread")],
)
def test_a_lane_of_a_model_with_processes_is_one_of_a_process(model: str, workers: str) -> None:
    """Also where one of them did everything."""
    run = run_of(leg(model, one_after_another(1.0, 2.0)))
    (head,) = [row for row in rows(run, "timeline", what="head") if row["text"]]
    assert head["text"] == f"{model} · 3.00 s · {workers}"
    assert f"{model}: {workers}, done" in chart_of(run, "timeline").alt


# the others


@pytest.mark.parametrize("name", ["speedup", "latency"])
def test_a_model_whose_calls_failed_is_not_drawn_as_the_winner(name: str) -> None:
    failed = replace(RUN, problems=(Problem("event-loop", "sum(0)", "failed"),))
    quick = rounds("event-loop", [0.01, 0.01, 0.01])
    chart = chart_of(replace(failed, legs=(*RUN.legs, *quick)), name)
    assert "event-loop" not in {row.get("model") for row in chart.rows}
    assert "event-loop" not in chart.series
    assert "without event-loop" in chart.title
    assert "without event-loop" in chart.alt
    assert "without" not in chart_of(RUN, name).title


def test_an_interval_that_goes_on_to_the_left_is_marked_there() -> None:
    """From a hundredth of sequential's speed to a thousandth, and another model that is 50 times as fast."""
    run = run_of(
        *rounds("sequential", [1.0, 1.0]),
        *rounds("thread-pool", [3.0, 300.0]),
        *rounds("event-loop", [0.02] * 2),
    )
    (row,) = rows(run, "speedup", model="thread-pool", what="speedup")
    assert rows(run, "speedup", what="before") == [
        {"model": "thread-pool", "what": "before", "speedup": row["low"]}
    ]
    assert "◂" in svg(chart_of(run, "speedup"))


def test_the_speedup_chart_has_the_tables_figures() -> None:
    summary = summarize(RUN, "thread-pool")
    assert summary is not None
    assert summary.speedup is not None
    (row,) = rows(RUN, "speedup", model="thread-pool", what="speedup")
    assert (row["speedup"], row["low"], row["high"]) == (
        summary.speedup.value,
        summary.speedup.low,
        summary.speedup.high,
    )
    assert "the longest call's bound: 2.00×" in [row.get("text") for row in chart_of(RUN, "speedup").rows]


def test_without_sequential_there_is_no_speedup_to_draw() -> None:
    assert "speedup" not in [chart.name for chart in charts_of(run_of(*rounds("thread-pool", [2.0, 2.1])))]


def test_the_marked_latencies_are_those_of_the_table() -> None:
    summary = summarize(RUN, "sequential")
    assert summary is not None
    marks = {
        row["percentile"]: row["seconds"] for row in rows(RUN, "latency", model="sequential", what="mark")
    }
    assert marks["p50"] == pytest.approx(summary.p50, rel=1e-3)
    assert marks["p99"] == pytest.approx(summary.p99, rel=1e-3)


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=2000))
def test_a_distribution_is_thinned_out_and_never_falls(times: list[float]) -> None:
    run = run_of(leg("thread-pool", all_at_once(*times)))
    curve = rows(run, "latency", what="curve")
    assert len(curve) < 300
    assert curve == sorted(curve, key=lambda row: (row["share"], row["seconds"]))
    assert curve[-1]["seconds"] == pytest.approx(max(times), rel=1e-4)


def test_a_distribution_of_few_calls_is_a_staircase_on_which_percentiles_lie() -> None:
    run = run_of(leg("thread-pool", all_at_once(1.0, 2.0, 3.0, 4.0)))
    curve = [(row["seconds"], row["share"]) for row in rows(run, "latency", what="curve")]
    assert curve == [(1.0, 0.0), (1.0, 0.25), (2.0, 0.5), (3.0, 0.75), (4.0, 1.0)]
    for mark in rows(run, "latency", what="mark"):
        assert mark["share"] == max(share for at, share in curve if at <= mark["seconds"])
    layers = chart_of(run, "latency").spec["layer"]
    assert layers[0]["mark"]["interpolate"] == "step-after"


def test_a_call_that_failed_was_not_delivered() -> None:
    trace = Trace(
        replace(row, error="E" if row.call == 0 else None) for row in all_at_once(1.0, 2.0, 3.0, 4.0)
    )
    curve = rows(run_of(leg("thread-pool", trace)), "latency", what="curve")
    assert [row["seconds"] for row in curve] == [2.0, 2.0, 3.0, 4.0]
    assert curve[-1]["share"] == 0.75


def test_the_line_of_a_break_even_passes_through_no_label() -> None:
    """Where the labels are at the right of their lines, and where they are at their left."""
    found = rows(load_any(SAVED[0].parent / "break-even.json"), "throughput", what="crossing")
    assert len(found) > 2
    for row, other in itertools.permutations(found, 2):
        if other["label"] > row["label"]:  # the row's line passes beside the other's label
            assert (other["gap"] > 0) != (row["size"] > other["size"]) or row["gap"] * other["gap"] < 0
    assert max(row["label"] for row in found) < min(
        row["rate"] for row in chart_of(load_any(SAVED[0].parent / "break-even.json"), "throughput").rows
    )


def test_a_chart_of_clusters_explains_its_shapes_and_no_law_that_it_has_not() -> None:
    result = load_any(SAVED[0].parent / "scale.json")
    assert isinstance(result, Scaling)
    titles = {chart.name: chart.title for chart in charts_of(result)}
    assert "lines: the fitted law; squares: several workers; dotted: no loss" in titles["scale-io"]
    few = tuple(point for point in result.points if point.layout.processes < 3 and point.layout.workers == 1)
    for chart in charts_of(replace(result, points=few)):
        assert chart.title.endswith("worker processes; dotted: no loss")


def test_characters_that_nobody_sees_are_written_with_their_escapes() -> None:
    run = run_of(leg("thread-pool", one_after_another(1.0, 2.0)), calls=("a\x1b[31m\x00", "\u202eb\ud800"))
    assert [row["call"] for row in rows(run, "timeline", what="run")] == [
        "a\\x1b[31m\\x00",
        "\\u202eb\\ud800",
    ]


def test_break_even_draws_each_rate_and_labels_where_the_pool_overtakes() -> None:
    assert len(rows(sweep(), "throughput", what="rate")) == 2 * len(SIZES)
    (crossing,) = rows(sweep(), "throughput", what="crossing")
    assert crossing["model"] == "process-pool"
    assert crossing["size"] == sweep().leads("process-pool", "sequential")[0].start
    assert crossing["text"].startswith("process-pool 1.")


def test_the_drill_draws_kills_deliveries_and_what_was_lost() -> None:
    assert [row["time"] for row in rows(DRILLS, "deliveries", what="kill")] == [1.0, 1.0]
    assert [row["text"] for row in rows(DRILLS, "deliveries", what="lost")] == ["2 lost"]
    assert [(r["killed"], r["delivered"]) for r in rows(DRILLS, "recoveries", what="came")] == [(1.0, 3.0)]
    assert [row["settings"] for row in rows(DRILLS, "recoveries", what="lost")] == ["Celery's defaults"]


@given(st.floats(-6, 3), st.floats(0.05, 8))
def test_ticks_of_a_logarithmic_axis_are_some_but_not_many_and_within_it(
    power: float, decades: float
) -> None:
    low, high = 10**power, 10 ** (power + decades)
    ticks = log_ticks(low, high)
    assert len(ticks) <= 12
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)


@given(st.floats(-6, 3), st.floats(0, 8))
def test_a_logarithmic_axis_holds_its_data_with_no_more_room_than_they_take(
    power: float, decades: float
) -> None:
    low, high = 10**power, 10 ** (power + decades)
    begin, end = log_span(low, high)
    assert begin <= low <= high <= end
    assert low / begin <= max(2.0, (high / low) ** 0.5)


def test_a_logarithmic_axis_begins_with_a_tick_where_one_is_near() -> None:
    assert log_span(0.0023, 2.9) == [0.001, 3.0]
    assert log_ticks(*log_span(0.0023, 2.9))[0] == 0.001
