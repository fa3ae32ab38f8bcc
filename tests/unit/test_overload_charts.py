"""The charts of an overload draw what its windows hold, in a panel for each model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from runs_for_tests import ENVIRONMENT

from producer.experiments.overload import Leg, Overload
from producer.measurement.arrivals import Rate
from producer.measurement.load import Load
from producer.measurement.resources import Resources, Sample
from producer.measurement.trace import Row, Trace
from producer.measurement.windows import windows
from producer.reports.charts import Chart
from producer.reports.charts.files import png, svg
from producer.reports.overload import findings
from producer.reports.report import charts_of


def leg(model: str, refused: tuple[int, ...] = ()) -> Leg:
    """Calls every 50 ms for 2 s that take 20 ms each; some are refused."""
    rows = [Row(n, n / 20, n / 20, n / 20 + 0.02, n / 20 + 0.02, "worker") for n in range(40)]
    for call in refused:
        rows[call] = replace(rows[call], started=None, finished=None, delivered=rows[call].submitted)
    times = tuple(row.submitted for row in rows)
    load = Load(Trace(rows), times, times, refused, (), 2.1)
    samples = tuple(Sample(n / 10, 0.0, 50_000_000, 5 + n, 1, 0) for n in range(20))
    resources = Resources(0.0, 50_000_000, 24, 1, 0)
    cut = windows(load, samples, 0.5)
    return Leg(model, 40.0, True, 0.02, Rate(20, 120, 2.0), load, resources, samples, cut)


RESULT = Overload(
    workload="query",
    models=("thread-pool", "thread-pool-rejecting"),
    settings={"workers": 1, "arrivals": "constant", "remote": False},
    environment=ENVIRONMENT,
    began=0.0,
    legs=(leg("thread-pool"), leg("thread-pool-rejecting", (10, 30))),
)
CHARTS = {chart.name: chart for chart in charts_of(RESULT)}


def test_there_is_a_chart_of_each_quantity() -> None:
    assert list(CHARTS) == ["rates", "backlog", "latency", "threads", "memory"]


@pytest.mark.parametrize("chart", CHARTS.values(), ids=list(CHARTS))
def test_a_chart_can_be_drawn_with_a_panel_for_each_model(chart: Chart) -> None:
    assert png(chart).startswith(b"\x89PNG")
    drawn = svg(chart)
    for model in RESULT.models:
        assert f">{model}</text>" in drawn
    assert "NaN" not in drawn


@pytest.mark.parametrize("chart", CHARTS.values(), ids=list(CHARTS))
def test_a_chart_says_in_words_what_is_to_be_seen(chart: Chart) -> None:
    assert chart.spec["description"] == chart.alt
    for name in [*RESULT.models, *chart.series]:
        assert name in chart.alt
    assert set(chart.findings) <= set(findings(RESULT))


def test_what_is_drawn_is_what_the_windows_hold() -> None:
    """Calls a second times the length of each window are the calls."""
    for one in RESULT.legs:
        rows = [row for row in CHARTS["rates"].rows if row["model"] == one.model]
        for series, calls in (("served", len(one.served)), ("refused", len(one.load.refused))):
            values = [row["value"] for row in rows if row.get("series") == series]
            lengths = [window.end - window.start for window in one.windows]
            drawn = sum(value * length for value, length in zip(values, lengths, strict=False))
            assert drawn == pytest.approx(calls, abs=1e-3)
        assert [row["capacity"] for row in rows if "capacity" in row] == [40.0]


def test_nothing_is_drawn_of_what_never_was() -> None:
    """No call was refused on the thread pool: its panel has no line at 0 for that."""
    refused = {row["model"] for row in CHARTS["rates"].rows if row.get("series") == "refused"}
    assert refused == {"thread-pool-rejecting"}


def test_an_overload_that_measured_nothing_has_no_charts() -> None:
    assert charts_of(replace(RESULT, legs=())) == []
