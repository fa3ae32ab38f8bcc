"""What is said of the broker queue on growing clusters, and what limits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from runs_for_tests import ENVIRONMENT

from producer.experiments.scale import Layout, Point, Scaling, Used
from producer.measurement.result import load, save
from producer.reports.report import load_any
from producer.reports.scale import findings, report

LAYOUTS = tuple(Layout(1, n) for n in (1, 2, 4, 8, 16))
MOODS = (1.0, 0.99, 1.01)


def used(seconds: float, *, producer: float = 0.1, broker: float = 0.1, workers: float = 0.5) -> Used:
    """CPU seconds of a round of so many seconds: shares of the time that each was busy."""
    return Used(producer * seconds, 2 * seconds, broker * seconds, workers * seconds)


def scaling(
    rate: Callable[[int], float],
    cpu: Callable[[float], Used] = used,
    layouts: tuple[Layout, ...] = LAYOUTS,
    *,
    work: str = "io",
    remote: bool = False,
) -> Scaling:
    """A result in which so many processes make so many calls a second."""
    points = []
    for layout in layouts:
        for number, mood in enumerate(MOODS, 1):
            seconds = 100 / (rate(layout.processes) * mood)
            points.append(Point(work, "broker-queue", layout, number, 100, seconds, cpu(seconds)))
    return Scaling(
        works=(work,),
        layouts=layouts,
        models=("broker-queue",),
        settings={"workers": 16, "remote": remote},
        environment=ENVIRONMENT,
        began=0.0,
        points=tuple(points),
    )


def said(result: Scaling) -> str:
    return " ".join(findings(result))


def test_the_first_sentence_is_the_efficiency_of_the_largest_cluster() -> None:
    first = findings(scaling(lambda n: 50 * n / (1 + (n - 1) / 15)))[0]
    assert first == "Efficiency of the most processes: io: broker-queue 50 % at 16."


def test_where_throughput_grows_with_the_processes_nothing_limits() -> None:
    assert "Nothing limits it yet." in said(scaling(lambda n: 50.0 * n))


def test_contention_is_told_by_the_law() -> None:
    text = said(scaling(lambda n: 50 * n / (1 + 0.2 * (n - 1))))
    assert "By the law contention (σ) limits it, with 100 % of what is lost." in text
    assert "σ = 0.2" in text


def test_coherency_is_told_by_the_law_and_where_the_peak_is() -> None:
    text = said(scaling(lambda n: 50 * n / (1 + 0.02 * n * (n - 1))))
    assert "By the law coherency (κ) limits it" in text
    assert "the most throughput is at N* = 7." in text  # √(1 / 0.02) is 7.07


@pytest.mark.parametrize(
    ("parties", "sentence"),
    [
        ({"workers": 3.8}, "The cores are what is short: all 4 were busy"),
        ({"producer": 0.95}, "The producer is what is short"),
        ({"broker": 0.9}, "The broker is what is short"),
        ({}, "Neither the cores"),
    ],
)
def test_who_was_busy_is_what_is_short(parties: dict[str, float], sentence: str) -> None:
    result = scaling(lambda n: 50 * n / (1 + 0.2 * (n - 1)), lambda seconds: used(seconds, **parties))
    assert sentence in said(result)


def test_an_efficient_queue_can_still_use_all_cores() -> None:
    """Of computing on all cores it would be wrong to say that nothing limits it."""
    text = said(scaling(lambda n: 50.0 * n, lambda seconds: used(seconds, workers=3.8)))
    assert "The cores are what is short" in text
    assert "Nothing limits it yet" not in text


def test_cores_that_other_programs_had_are_not_the_queue_s_fault() -> None:
    text = said(scaling(lambda n: 50 * n / (1 + 0.2 * (n - 1)), lambda s: replace(used(s), machine=4 * s)))
    assert "and for other programs otherwise" in text


def test_a_call_s_cpu_time_bounds_what_the_cores_allow() -> None:
    """A hundred calls a second with one CPU second a second: 10 ms each, and 400 a second on four cores."""
    one = scaling(lambda _: 100.0, lambda s: used(s, producer=0.25, broker=0.25, workers=0.5))
    assert "A call took 10.0 ms of CPU time" in said(one)
    assert "4 cores allow at most 400 calls/s" in said(one)


def test_too_few_sizes_fit_no_law() -> None:
    text = said(scaling(lambda n: 50.0 * n, layouts=LAYOUTS[:3]))
    assert "measured at fewer than 4 sizes" in text
    assert "σ = " not in text


def test_one_core_leaves_one_process_to_compute() -> None:
    text = said(scaling(lambda n: 50.0 * n, layouts=LAYOUTS[:1], work="cpu"))
    assert "one process alone was measured: there is one core to compute on" in text


def test_several_workers_are_compared_with_one_that_has_as_many_processes() -> None:
    several = (*LAYOUTS, Layout(8, 2))
    assert "8 workers with 2 processes have 1.00 times the throughput of one with 16" in said(
        scaling(lambda n: 50.0 * n, layouts=several)
    )


def test_of_a_cluster_that_was_there_only_the_producer_is_seen() -> None:
    result = scaling(lambda n: 50 * n / (1 + 0.2 * (n - 1)), lambda s: Used(0.95 * s, s), remote=True)
    text = said(result)
    assert "The producer is what is short: it was busy for 95 % of the time." in text
    assert "16 messages under way have" in text


def test_what_was_interrupted_at_once_says_nothing() -> None:
    assert findings(replace(scaling(lambda n: 50.0 * n), points=())) == []


def test_a_saved_result_reads_the_same(tmp_path: Path) -> None:
    result = scaling(lambda n: 50.0 * n)
    save(result, tmp_path / "scale.json")
    assert load(tmp_path / "scale.json", Scaling) == result
    assert load_any(tmp_path / "scale.json") == result


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_fit_whatever_the_width(width: int) -> None:
    console = Console(width=width)
    with console.capture() as capture:
        for table in report(scaling(lambda n: 50.0 * n)).tables(console):
            console.print(table)
    assert max(map(len, capture.get().splitlines())) <= width
