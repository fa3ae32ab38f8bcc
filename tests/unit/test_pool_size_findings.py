"""What is said of pools of different sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console
from runs_for_tests import ENVIRONMENT

from producer.experiments.pool_size import Point, PoolSizes
from producer.reports.pool_size import findings, report

SIZES = (1, 2, 4, 8)
MOODS = (1.0, 0.8, 0.9)


def result(knees: dict[tuple[str, str], int], sizes: tuple[int, ...] = SIZES) -> PoolSizes:
    """A result in which throughput grows with the workers up to each knee."""
    points = []
    for (work, model), most in knees.items():
        for number, mood in enumerate(MOODS, 1):
            for size in sizes:
                rate = 100 * min(size, most) * mood
                points.append(Point(work, model, size, number, 200, 200 / rate, size / rate, 2 * size / rate))
    return PoolSizes(
        works=tuple(dict.fromkeys(work for work, _ in knees)),
        sizes=sizes,
        defaults={"thread-pool": 8, "process-pool": 4},
        models=tuple(dict.fromkeys(model for _, model in knees)),
        settings={"workers": sizes[-1]},
        environment=ENVIRONMENT,
        began=0.0,
        points=tuple(points),
    )


KNEES = {("cpu", "thread-pool"): 1, ("cpu", "process-pool"): 4, ("io", "thread-pool"): 8}


def test_the_first_sentence_names_the_size_of_each_pool() -> None:
    first = findings(result(KNEES))[0]
    assert first == "Workers to take here: cpu: thread-pool 1, process-pool 4; io: thread-pool 8 or more."


def test_a_recommendation_stands_beside_the_standard_library_s_default() -> None:
    said = findings(result(KNEES))
    assert "100 calls/s" not in said[1]  # the mean over three moods
    assert (
        "The standard library's default, 8, has 1.00 times the throughput and 8.00 times the p99." in said[1]
    )
    assert "The standard library's default is the same." in said[2]


def test_a_knee_at_the_largest_size_may_lie_beyond() -> None:
    said = findings(result(KNEES))
    assert "the knee may lie beyond (--sizes ...,16)" in said[3]
    assert not any("beyond" in sentence for sentence in said[1:3])


def test_a_default_that_was_not_measured_is_not_compared() -> None:
    said = findings(result({("cpu", "thread-pool"): 1}, (1, 2)))
    assert "The standard library's default, 8, was not measured." in said[1]


def test_what_was_interrupted_before_the_first_round_is_over_recommends_nothing() -> None:
    some = result(KNEES)
    assert findings(replace(some, points=some.points[:2])) == []
    assert findings(replace(some, points=())) == []


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_fit_whatever_the_width(width: int) -> None:
    console = Console(width=width)
    with console.capture() as capture:
        for table in report(result(KNEES)).tables(console):
            console.print(table)
    text = capture.get()
    assert max(map(len, text.splitlines())) <= width
    assert text.count("●") == 3
