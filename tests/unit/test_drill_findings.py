"""What the drill makes of what it saw, and what a person is told of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from runs_for_tests import ENVIRONMENT

from producer.experiments.faults import OURS, Drill, Drills, Plan, _judge, _Record
from producer.reports.faults import Lines, findings, report
from producer.reports.terminal import show

PLAN = Plan(calls=4, seconds=1.0, kills=1, workers=1, processes=2, lease=2.0, bound=8.0)


def judged(tmp_path: Path, log: str, delivered: dict[int, float], killed: dict[int, float]) -> Drill:
    file = tmp_path / "log"
    file.write_text(log)
    return _judge(PLAN, OURS, _Record(delivered, killed), file, 100.0, 1)


def test_what_a_kill_cut_short_is_told_from_what_had_ended(tmp_path: Path) -> None:
    log = """begin 0 10 100
end 0 10 101
begin 1 10 101
begin 1 20 104
end 1 20 105
begin 2 20 105
end 2 20 106
begin 3 20 106
end 3 20 107
"""
    drill = judged(tmp_path, log, {0: 101.0, 1: 105.0, 2: 106.0, 3: 107.0}, {10: 102.0, 11: 102.0})
    assert (drill.delivered, drill.lost, drill.twice, drill.cut) == (4, 0, 0, 1)
    assert drill.recoveries == (3.0,)
    assert drill.mean == drill.p99 == 3.0
    assert drill.seconds == 7.0


def test_a_call_that_ended_twice_ran_twice(tmp_path: Path) -> None:
    log = "begin 0 10 100\nend 0 10 101\nbegin 0 20 102\nend 0 20 103\n"
    drill = judged(tmp_path, log, {0: 101.0}, {})
    assert (drill.twice, drill.cut, drill.lost) == (1, 0, 3)
    assert drill.mean is drill.p99 is None


def test_the_99th_percentile_is_one_of_the_recoveries() -> None:
    recoveries = tuple(float(n) for n in range(1, 201))
    assert Drill(OURS, 200, 200, 0, 200, recoveries, 1.0, 5).p99 == 198.0


GOOD = Drill(OURS, 4, 4, 0, 2, (2.0, 3.0), 9.0, 1)
BAD = Drill("Celery's defaults", 4, 3, 0, 1, (), 5.0, 1)

RESULT = Drills(
    plan=PLAN, drills=(GOOD, BAD), environment=ENVIRONMENT, began=0.0, models=(), settings={"workers": 1}
)


@pytest.mark.parametrize(
    ("drills", "says"),
    [
        ([GOOD], "all 4 results came, none of which ran to its end twice; the 2 calls that 1 kill cut"),
        ([GOOD, BAD], "Celery's defaults: 1 of 4 results did not come. It was given up 8.00 s after"),
        ([GOOD, BAD], "an hour by default"),
        ([Drill(OURS, 4, 4, 0, 0, (), 1.0, 1)], "says nothing of recovery"),
    ],
)
def test_findings_are_what_was_seen(drills: list[Drill], says: str) -> None:
    assert any(says in sentence for sentence in findings(PLAN, drills))


def test_an_hour_is_not_spoken_of_where_nothing_is_missing() -> None:
    assert not any("hour" in sentence for sentence in findings(PLAN, [GOOD]))


def printed(do: Callable[[Console], None]) -> str:
    stream = io.StringIO()
    do(Console(file=stream, width=80, _environ={}))
    return stream.getvalue()


def test_the_table_fits_a_narrow_window() -> None:
    text = printed(lambda console: show(report(RESULT), console))
    rows = [line.split() for line in text.splitlines() if "/4" in line]
    assert rows[0] == [OURS, "4/4", "0", "0", "2", "2.50", "s", "3.00", "s", "9.00", "s"]
    assert rows[1] == ["Celery's", "defaults", "3/4", "1", "0", "1", "–", "–", "5.00", "s"]


def test_a_line_is_printed_for_each_kill_and_no_more() -> None:
    def go_on(console: Console) -> None:
        with Lines(console) as lines:
            lines.begins(OURS, PLAN)
            for delivered, kills in [(0, 0), (1, 1), (2, 1), (3, 1)]:
                lines.goes_on(delivered, kills)

    assert printed(go_on).splitlines() == [
        f"{OURS}: 4 calls of 1.00 s, 1 kill",
        "  killed worker 1; 1 delivered",
    ]
