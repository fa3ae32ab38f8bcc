"""The charts of pool sizes and of growing clusters: each can be drawn, and draws what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_pool_size_findings import KNEES, result
from test_scale_findings import LAYOUTS, scaling

from producer.experiments.scale import Layout
from producer.measurement.result import Result
from producer.reports.charts.files import svg
from producer.reports.report import charts_of

POOLS = result(KNEES)
CLUSTERS = scaling(lambda n: 50 * n / (1 + 0.02 * n * (n - 1)), layouts=(*LAYOUTS, Layout(8, 2)))


@pytest.mark.parametrize("measured", [POOLS, CLUSTERS], ids=["pool-size", "scale"])
def test_each_chart_can_be_drawn(measured: Result) -> None:
    charts = charts_of(measured)
    assert charts
    for chart in charts:
        assert chart.findings
        assert "<svg" in svg(chart)


def test_the_size_that_is_recommended_is_marked_once_for_each_pool() -> None:
    for chart, work in zip(charts_of(POOLS), ("cpu", "io"), strict=True):
        marked = {row["model"]: row["workers"] for row in chart.rows if row["knee"]}
        assert marked == {model: size for (of, model), size in KNEES.items() if of == work}


def test_measurements_of_clusters_lie_beside_the_law() -> None:
    (chart,) = charts_of(CLUSTERS)
    what = [row["what"] for row in chart.rows]
    assert (what.count("one"), what.count("several")) == (len(LAYOUTS), 1)
    law = {round(row["processes"], 6): row["rate"] for row in chart.rows if row["what"] == "law"}
    for row in chart.rows:
        if row["what"] == "one" and row["processes"] in (1, 16):  # where the curve has a point, too
            assert law[row["processes"]] == pytest.approx(row["rate"], rel=0.02)


@pytest.mark.parametrize("measured", [POOLS, CLUSTERS], ids=["pool-size", "scale"])
def test_nothing_measured_is_nothing_drawn(measured: Result) -> None:
    assert charts_of(replace(measured, points=())) == []  # type: ignore[call-arg]
