"""What the GIL costs: computed from four makespans of each round, and said as far as they go."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from runs_for_tests import ENVIRONMENT, one_after_another

from producer import cli
from producer.experiments import gil
from producer.experiments.gil import OWN, PYTHON, C, Gil, Leg, measure_gil
from producer.measurement.noise import Noise
from producer.measurement.result import load
from producer.measurement.trace import Trace
from producer.models import MODELS
from producer.reports.charts.gil import charts
from producer.reports.gil import findings, report
from producer.reports.report import report_of
from producer.reports.terminal import show

MOODS = (1.0, 1.1, 0.9, 1.05)
WHOLE = {
    (PYTHON, "sequential"): 1.0,
    (C, "sequential"): 1.2,
    (PYTHON, "thread-pool"): 1.0,
    (C, "thread-pool"): 0.6,
    (PYTHON, "process-pool"): 0.5,
    (C, "process-pool"): 0.6,
}


def halves(seconds: float) -> Trace:
    """The trace of two calls, one after another."""
    return one_after_another(seconds / 2, seconds / 2)


#: The same, of the user's own calls.
MINE = {(OWN if work == PYTHON else work, model): seconds for (work, model), seconds in WHOLE.items()}


def result(makespans: dict[tuple[str, str], float] = WHOLE, **changes: Any) -> Gil:
    """A result with these makespans, in rounds of different moods and a little noise of each leg's own."""
    legs = tuple(
        Leg(work, model, number, halves(seconds * mood * (1 + 0.001 * (number * place % 3))))
        for number, mood in enumerate(MOODS, 1)
        for place, ((work, model), seconds) in enumerate(makespans.items(), 1)
    )
    made = Gil(
        models=tuple(dict.fromkeys(model for _, model in makespans)),
        settings={"workers": 2},
        environment=ENVIRONMENT,
        began=0.0,
        call=0.05,
        calls=8,
        legs=legs,
    )
    return replace(made, **changes)


def text(of: Gil) -> str:
    return "\n".join(findings(of))


class Observer:
    """Interrupts after so many legs, as Ctrl-C does."""

    def __init__(self, legs: int) -> None:
        self.left = legs

    def doing(self, what: str) -> None: ...

    def measured(self, share: float) -> None:
        assert 0 < share <= 1
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_the_cost_is_the_one_speedup_by_the_other() -> None:
    """Pure Python gains nothing, C twice; that C is a fifth longer to begin with plays no part."""
    cost = result().cost("thread-pool")
    assert cost is not None
    assert cost.value == pytest.approx(2.0, rel=0.01)
    processes = result().cost("process-pool")
    assert processes is not None
    assert processes.value == pytest.approx(1.0, rel=0.01)


def test_the_cost_is_said_in_a_sentence_with_its_confidence() -> None:
    found = text(result())
    assert (
        "What the GIL cost: pure Python took 2.00 times as long on thread-pool as it would without (99 %"
        in found
    )
    assert (
        "With 2 workers it was 1.00 times as fast as sequential, and calls of the same length that" in found
    )
    assert "Processes share no GIL: process-pool ran pure Python 2.00 times as fast as sequential" in found


def test_a_cost_within_noise_is_called_that() -> None:
    found = text(result({**WHOLE, (PYTHON, "thread-pool"): 0.5}))
    assert "What the GIL cost is within noise: pure Python took 1.00 times as long" in found
    assert "no cores to spare" not in found


def test_where_c_gained_nothing_either_nothing_is_said_of_the_gil() -> None:
    busy = {**WHOLE, (C, "thread-pool"): 1.2}
    assert "there were no cores to spare for either, and this tells nothing of the GIL" in text(result(busy))
    alone = result(busy, environment=replace(ENVIRONMENT, cores_in_reach=1))
    assert "With one core or one worker there is nothing to gain, GIL or not." in text(alone)


def test_a_python_without_a_gil_says_so_and_shows_the_gain() -> None:
    """Made up: such a Python has all cores for its threads."""
    where = replace(ENVIRONMENT, gil=False, free_threaded=True)
    found = text(result({**WHOLE, (PYTHON, "thread-pool"): 0.5}, environment=where))
    assert (
        "This Python has no GIL, and threads gain: on thread-pool, 2 workers ran pure Python 2.00 times as "
        "fast as sequential (99 % confidence: " in found
    )
    assert "What the GIL cost" not in found
    assert "Processes share no GIL" not in found
    shown = io.StringIO()
    show(report(result(WHOLE, environment=where)), Console(file=shown, width=110))
    assert "GIL cost" not in shown.getvalue()
    nothing = text(result(environment=where))
    assert "This Python has no GIL, but thread-pool gained nothing that is more than noise" in nothing


def test_a_free_threaded_python_whose_gil_is_on_says_so() -> None:
    where = replace(ENVIRONMENT, free_threaded=True)
    assert "was built to do without a GIL, but the GIL is on" in text(result(environment=where))
    assert "was built to" not in text(result())


@pytest.mark.parametrize(
    ("threads", "said"),
    [
        (1.0, "What the GIL costs mine:work: its calls took 2.00 times as long on thread-pool as they would"),
        (
            0.5,
            "The GIL costs mine:work nothing that is more than noise: its calls took 1.00 times as long on",
        ),
        (0.1, "The GIL costs mine:work nothing on thread-pool: its calls gain more from threads than those"),
    ],
    ids=["holds", "releases", "waits"],
)
def test_what_the_gil_costs_other_work_is_said_of_that_work(threads: float, said: str) -> None:
    found = text(result({**MINE, (OWN, "thread-pool"): threads}, work="mine:work"))
    assert said in found
    assert "calls of the same length in C, which release the GIL, 2.00 times" in found
    assert "pure Python" not in found
    assert ("Processes share no GIL: process-pool ran mine:work 2.00 times" in found) is (threads == 1.0)


def test_where_calls_in_c_gain_nothing_nothing_is_said_of_other_work() -> None:
    """As with calls that take no longer than handing them over does, or one that is nearly all the work."""
    busy = result({**MINE, (C, "thread-pool"): 1.2}, work="mine:work")
    for some, why in (
        (busy, "there were no cores to spare for either"),
        (
            replace(busy, call=1e-6),
            "Calls of 1.00 µs are too short: to hand one to a thread may take longer.",
        ),
        (
            replace(busy, legs=tuple(map(in_one_call, busy.legs))),
            "The longest call is 100 % of the work: to run the others beside it gains next to nothing",
        ),
    ):
        found = text(some)
        assert "What the GIL costs calls of mine:work on thread-pool can't be told. With 2 workers" in found
        assert why in found
        assert "hold it" not in found


def in_one_call(leg: Leg) -> Leg:
    """The same leg with all its time in one call."""
    return replace(leg, trace=one_after_another(leg.trace[-1].delivered))


def test_other_work_has_its_name_in_the_table_and_in_the_chart() -> None:
    mine = result(MINE, work="mine:work")
    assert report(mine).title == "gil: 8 calls of mine:work, median 50.0 ms, 2 workers, 4 rounds"
    console = Console(width=200, record=True)
    for table in report(mine).tables(console):
        console.print(table)
    assert "mine:work" in console.export_text()
    (chart,) = charts(mine)
    assert set(chart.series) == {"mine:work", "C, which releases the GIL"}
    assert chart.title.startswith("Speedup of mine:work, and of calls of the same length in C")


@given(st.lists(st.floats(1e-7, 100.0), min_size=1, max_size=50), st.integers(1, 16))
def test_there_are_calls_for_all_workers_and_none_twice_where_once_takes_long(
    taken: list[float], workers: int
) -> None:
    count = gil._calls(taken, 0.4, workers)
    assert max(1, workers) <= count <= max(gil.MOST_CALLS, len(taken))
    if sum(taken) >= 0.4:
        assert count == max(len(taken), workers)


def test_what_disturbed_the_run_is_said() -> None:
    found = " ".join(report_of(result(noise=Noise(10.0, 4.0, 0.0))).findings)
    assert "During the run other programs took 40 % of the CPU time: that widens the intervals" in found
    assert "a difference of less than 40 % may come from it" in found
    assert "During the run" not in " ".join(report_of(result(noise=Noise(10.0, 0.1, 0.0))).findings)


def test_nothing_measured_makes_a_report_without_figures() -> None:
    nothing = report(result(legs=()))
    console = Console(width=40)
    assert (nothing.tables(console), nothing.findings) == ([], [])


@pytest.mark.parametrize("width", [30, 60, 200])
def test_the_table_fits_whatever_window(width: int) -> None:
    console = Console(width=width, record=True)
    for table in report(result()).tables(console):
        console.print(table)
    shown = console.export_text()
    assert all(word in shown for word in ("sequential", "thread-pool", "process-pool", "GIL cost"))


def test_ctrl_c_keeps_what_there_is() -> None:
    found = measure_gil(None, None, ["thread-pool"], 2, quick=True, seed=1, observer=Observer(3))
    assert found.interrupted
    assert found.work == PYTHON
    assert len(found.legs) == 3
    assert found.noise is not None
    assert "What the GIL cost" not in text(found)  # there is no whole round


def test_a_real_run_is_shown_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gil, "QUICK_BUDGET", 0.1)
    monkeypatch.setattr(gil, "QUICK_LEG", 0.05)
    monkeypatch.chdir(tmp_path)
    asked = ["gil", "--quick", "--models", "thread-pool,event-loop", "--workers", "2", "--json", "gil.json"]
    assert cli._run(asked) == 0
    found = load(tmp_path / "gil.json", Gil)
    assert found.models == ("sequential", "thread-pool", "event-loop")
    assert "event-loop" in found.unavailable
    assert {(leg.work, leg.model, leg.round) for leg in found.legs} == {
        (work, model, number)
        for work in (PYTHON, C)
        for model in ("sequential", "thread-pool")
        for number in range(1, gil.FEWEST_ROUNDS + 1)
    }
    assert all(len(leg.trace) == found.calls for leg in found.legs)
    assert found.calls % 2 == 0  # equal shares
    shown = capfd.readouterr().out
    assert "GIL" in shown
    assert MODELS["event-loop"].name in shown


def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """A function of one's own that processes can't send back where it is told to, and calls of it."""
    monkeypatch.setattr(gil, "QUICK_BUDGET", 0.1)
    monkeypatch.setattr(gil, "QUICK_LEG", 0.02)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "gil_calls.py").write_text(
        "def work(turns, back=True):\n"
        "    total = sum(range(turns))\n"
        "    return total if back else lambda: total\n"
        "async def nap():\n    pass\n"
    )
    (tmp_path / "calls.jsonl").write_text(lines)


def test_a_function_of_one_s_own_is_measured_beside_calls_in_c_that_take_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own(tmp_path, monkeypatch, "[1000]\n[50000]\n")
    asked = ["gil", "gil_calls:work", "--inputs", "calls.jsonl", "--quick", "--workers", "2"]
    saved = ["--json", "gil.json", "--html", "gil.html"]
    assert cli._run([*asked, "--models", "thread-pool", *saved]) == 0
    found = load(tmp_path / "gil.json", Gil)
    assert (found.work, found.problems) == ("gil_calls:work", ())
    assert {leg.work for leg in found.legs} == {OWN, C}
    assert all(len(leg.trace) == found.calls for leg in found.legs)
    shown = " ".join(capfd.readouterr().out.split())
    assert "gil_calls:work" in shown
    assert cli._run(["report", "gil.json"]) == 0
    assert shown in " ".join(capfd.readouterr().out.split())


def test_a_model_on_which_a_call_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own(tmp_path, monkeypatch, '{"turns": 1000, "back": false}\n')
    asked = ["gil", "gil_calls:work", "--inputs", "calls.jsonl", "--quick", "--workers", "2"]
    with pytest.raises(SystemExit, match="1"):
        cli.cli.main([*asked, "--json", "gil.json"], standalone_mode=False)
    found = load(tmp_path / "gil.json", Gil)
    assert list(found.unavailable) == ["process-pool"]
    assert {leg.model for leg in found.legs} == {"sequential", "thread-pool"}
    assert "WRONG: work(turns=1000, back=False) failed on process-pool: " in capfd.readouterr().out
    assert cli._run([*asked, "--models", "process-pool"]) == 1
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("work", "line", "said"),
    [
        ("gil_calls:nap", "[]", "gil_calls:nap is a coroutine function"),
        ("gil_calls:work", '["x"]', "work('x') failed: TypeError"),
        ("gil_calls:wrok", "[1]", "did you mean 'work'?"),
    ],
)
def test_work_that_threads_can_not_run_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    work: str,
    line: str,
    said: str,
) -> None:
    own(tmp_path, monkeypatch, line)
    assert cli._run(["gil", work, "--inputs", "calls.jsonl", "--quick"]) in (1, 2)
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err.splitlines()[-1]
