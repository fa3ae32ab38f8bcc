"""What a break-even sweep says, in its sentences: the answer in the first of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from rich.console import Console
from runs_for_tests import ENVIRONMENT

from producer.experiments.break_even import Point, Sweep
from producer.reports.break_even import findings, report
from producer.reports.charts.break_even import charts

SIZES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
#: What each round's rates are multiplied by, for every model alike: the machine's mood.
MOODS = (1.0, 0.7, 1.1)


def sweep(costs: dict[str, float], gains: dict[str, float], kind: str = "cpu", cores: int = 4) -> Sweep:
    """A sweep in which each model adds so many seconds to a call, and shares calls among so many workers."""
    points = [
        Point(model, size, number, 10, 10 * (cost + size / gains.get(model, 1.0)) / mood)
        for (number, mood), size, (model, cost) in product(enumerate(MOODS, 1), SIZES, costs.items())
    ]
    return Sweep(
        kind=kind,
        sizes=SIZES,
        models=tuple(costs),
        settings={"workers": 4, "quick": True, "seed": 1},
        environment=replace(ENVIRONMENT, cores_in_reach=cores),
        began=0.0,
        points=tuple(points),
    )


COSTS = {"sequential": 1e-6, "thread-pool": 2e-5, "process-pool": 2e-4, "broker-queue": 2e-3}
GAINS = {"thread-pool": 1.0, "process-pool": 4.0, "broker-queue": 4.0}


def test_the_first_sentence_is_the_answer() -> None:
    first = findings(sweep(COSTS, GAINS))[0]
    # 200 µs are paid back where three quarters of a call are saved: at 265 µs; on a straight line between
    # two sizes a decade apart it looks a little different.
    assert first.startswith("Break-even: process-pool pays from calls of ")
    assert "; broker-queue pays from calls of " in first
    assert "thread-pool does not, from 10.0 µs to 100 ms" in first


def test_the_winners_are_named_from_the_smallest_size_to_the_largest() -> None:
    assert "The fastest: sequential, then at 1.00 ms process-pool." in findings(sweep(COSTS, GAINS))


@pytest.mark.parametrize(("kind", "reason"), [("cpu", True), ("io", False)])
def test_where_nothing_pays_the_answer_says_so(kind: str, *, reason: bool) -> None:
    """On one core no pool computes faster than a loop; that this is why is said of computing only."""
    first = findings(sweep(COSTS, {}, kind, cores=1))[0]
    assert first.startswith("Break-even: nothing was faster than sequential by more than noise, at any size")
    assert ("there is one core to compute on" in first) is reason


def test_without_sequential_models_are_compared_with_the_first_of_them() -> None:
    some = {name: COSTS[name] for name in ("process-pool", "broker-queue")}
    first = findings(sweep(some, {"broker-queue": 4.0}))[0]
    assert first.startswith("Break-even against process-pool: broker-queue pays from calls of ")


def test_a_single_size_has_no_crossing_and_none_is_claimed() -> None:
    whole = sweep(COSTS, GAINS)
    one = replace(whole, sizes=SIZES[:1], points=tuple(p for p in whole.points if p.size == SIZES[0]))
    first = findings(one)[0]
    assert first.startswith(
        "Break-even: all calls take about 10.0 µs, and a single size shows none. The fastest: sequential, "
        "2.73 times as fast as thread-pool (99 % confidence: "
    )
    assert not any("pays" in sentence for sentence in findings(one))
    assert [chart.name for chart in charts(one)] == ["throughput", "speedup"]


def test_calls_that_were_given_are_told_with_what_they_take() -> None:
    calls = tuple(f"f({n})" for n in range(len(SIZES)))
    told = findings(replace(sweep(COSTS, GAINS), calls=calls))[-1]
    assert told.startswith("What the calls took, alone: 10.0 µs f(0); 100 µs f(1); ")
    assert not any("alone" in sentence for sentence in findings(sweep(COSTS, GAINS)))


def test_a_model_alone_has_no_break_even() -> None:
    assert findings(sweep({"thread-pool": 1e-5}, {})) == [
        "thread-pool alone was measured: a break-even needs two models."
    ]


def test_a_sweep_that_was_interrupted_before_its_first_point_is_shown_all_the_same() -> None:
    nothing = replace(sweep(COSTS, GAINS), points=(), interrupted=True)
    assert findings(nothing) == []
    assert report(nothing).tables(Console(width=80)) == []


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_fit_whatever_the_width(width: int) -> None:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        for table in report(sweep(COSTS, GAINS)).tables(console):
            console.print(table)
    text = capture.get()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
