"""The pictures of futures' lives, and of a loop's heartbeat, hold what was measured."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from producer.experiments.blocking import Heartbeats
from producer.experiments.futures import CALLBACK, Event, Lives
from producer.measurement.result import load
from producer.reports.charts import blocking, futures
from producer.reports.charts.files import svg

RUNS = Path(__file__).parents[2] / "docs" / "runs"


def lives() -> Lives:
    return load(RUNS / "futures.json", Lives)


def heartbeats() -> Heartbeats:
    return load(RUNS / "blocking.json", Heartbeats)


def test_each_future_has_a_lane_and_each_end_a_mark() -> None:
    (chart,) = futures.charts(lives())
    submitted = [(e.model, e.number) for e in lives().events if e.event == "submit"]
    rows = [row for row in chart.rows if row["what"] != "head"]
    assert len({row["lane"] for row in rows}) == len(submitted)
    ends = [event.state for event in lives().events if event.event == CALLBACK]
    assert sorted(row["state"] for row in rows if row["what"] == "end") == sorted(ends)


def test_states_follow_each_other_without_a_gap() -> None:
    (chart,) = futures.charts(lives())
    lanes: dict[str, list[tuple[float, float]]] = {}
    for row in chart.rows:
        if row["what"] == "state":
            lanes.setdefault(row["lane"], []).append((row["start"], row["end"]))
    for bars in lanes.values():
        assert all(start < end for start, end in bars)
        assert all(one[1] == next_[0] for one, next_ in pairwise(bars))


def test_only_so_many_futures_are_drawn_and_the_picture_says_so() -> None:
    many = tuple(Event("thread-pool", "life", 0.1, n, "noop(1)", "submit", "FINISHED") for n in range(500))
    (chart,) = futures.charts(replace(lives(), events=many))
    assert len({row["lane"] for row in chart.rows if row["what"] != "head"}) == 40
    assert "500 futures, 40 of them shown" in str(chart.rows)


def test_each_way_is_drawn_for_each_kind_of_work() -> None:
    charts = blocking.charts(heartbeats())
    assert [chart.name for chart in charts] == [
        f"{kind}-{place}" for place in (1, 2, 3) for kind in ("heartbeat", "lateness")
    ]
    ways = {leg.way for leg in heartbeats().legs}
    for chart in charts:
        assert {row["way"] for row in chart.rows if "way" in row} == ways == set(chart.series)
        assert len(set(chart.series.values())) == len(ways)  # no two of a colour
        assert len(str(chart.spec)) < 200_000


def test_a_distribution_ends_with_the_latest_beat() -> None:
    chart = blocking.charts(heartbeats())[1]
    result = heartbeats()
    for way in chart.series:
        latest = max(max(leg.lateness) for leg in result.of(result.works[0], way)) / 1e6
        drawn = max(row["late"] for row in chart.rows if row.get("way") == way)
        assert abs(drawn - latest) <= 1e-3 * latest


def test_what_was_interrupted_before_anything_happened_has_no_picture() -> None:
    assert futures.charts(replace(lives(), events=())) == []
    assert blocking.charts(replace(heartbeats(), legs=())) == []


def test_the_charts_can_be_drawn() -> None:
    for chart in (*futures.charts(lives()), *blocking.charts(heartbeats())[:2]):
        assert svg(chart).startswith("<svg")
