"""What moves while something runs: it fits the window, leaves it clean, and shows what is so."""

from __future__ import annotations

import io
import re
import time
from typing import Any

import pytest
from rich.console import Console
from runs_for_tests import rounds, run_of

from producer.experiments import overload
from producer.measurement.arrivals import Rate
from producer.measurement.load import Load, Progress
from producer.measurement.resources import Resources
from producer.measurement.trace import Row, Trace
from producer.models import MODELS
from producer.models.variants import VARIANTS
from producer.reports.progress import FREE, Bars, Clock, Share, Table, animated, some
from producer.reports.race import Race

UNAVAILABLE = {"event-loop": "needs a coroutine function (async def)"}
RUN = run_of(
    *(one for name in MODELS if name not in UNAVAILABLE for one in rounds(name, [2.0, 2.1, 1.9])),
    models=tuple(MODELS),
    unavailable=UNAVAILABLE,
)
SIZES = [(80, 24), (50, 20), (100, 30), (120, 40), (200, 60), (80, 6), (40, 3)]


class Terminal(Console):
    """A console whose frames can be counted: rich begins each by going back over the lines of the last."""

    def __init__(self, width: int = 80, height: int = 24, term: str = "xterm-256color", **options: Any):
        self.stream = io.StringIO()
        super().__init__(
            file=self.stream,
            width=width,
            height=height,
            force_terminal=True,
            no_color=True,
            _environ={"TERM": term},
            **options,
        )

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def highest(self) -> int:
        """Lines of the highest frame."""
        ups = re.findall(r"\r\x1b\[2K((?:\x1b\[1A\x1b\[2K)*)", self.text)
        return max((up.count("\x1b[1A") + 1 for up in ups), default=0)

    def last(self) -> list[str]:
        """The lines of the frame that is on the screen."""
        return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", self.text.rpartition("\r")[2]).split("\n")


# where nothing can be drawn again


def test_a_dumb_terminal_is_not_drawn_on() -> None:
    assert animated(Terminal())
    assert not animated(Terminal(term="dumb"))
    assert not animated(Console(file=io.StringIO()))


def test_steps_are_told_in_lines_on_a_dumb_terminal() -> None:
    made = Terminal(term="dumb")
    with Share(made) as share:
        share.doing("sum of 100: thread-pool")
        share.measured(0.5)
    assert made.text == "sum of 100: thread-pool\n"


# the time left


def test_lines_tell_the_time_left_once_there_is_something_to_tell_it_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Share(Console(file=stream)) as share:
        now += 10
        for done, step in ((0.0, "first"), (0.01, "second"), (0.25, "third"), (1.0, "last")):
            share.measured(done)
            share.doing(step)
    assert stream.getvalue().splitlines() == ["first", "second", "third (about 30 s left)", "last"]


def test_a_clock_that_is_through_has_nothing_left() -> None:
    clock = Clock()
    clock.share = 1.0
    assert clock.left() == ""


@pytest.mark.parametrize("width", [80, 50])
def test_the_share_is_whole_however_long_the_step_is(width: int) -> None:
    made = Terminal(width)
    share = Share(made)
    with share._bar._lock, share:
        share.doing("round 4: pure-Python computing, on thread-pool and on all others that there are")
        share.measured(0.31)
        share._bar.refresh()
        (line,) = made.last()
    assert re.search(r" 31% .:..:..", line)
    assert len(line) <= width


# the window


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_frame_of_a_comparison_is_higher_than_the_window_has_room_for(width: int, height: int) -> None:
    made = Terminal(width, height)
    with Table(made) as table:
        table.doing("round 3: broker-queue", RUN)
        table.begins()
        table.measured(RUN.legs[0], RUN)
    assert 1 <= made.highest <= max(1, height - FREE)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_frame_of_an_overload_is_higher_than_the_window_has_room_for(width: int, height: int) -> None:
    made = Terminal(width, height)
    with Race(made, list(VARIANTS)) as race:
        race.doing("thread-pool-rejecting: measuring its capacity")
        race.moved("thread-pool-rejecting", Progress(1.0, 10, 0, 5), 1.0)
    # A line more where only one is free: what goes on has two in so narrow a window.
    assert 1 <= made.highest <= max(2, height - FREE)


def test_the_last_frame_is_empty_and_the_report_begins_where_it_was() -> None:
    """Rich draws once more at its end, and lets that frame be higher than the window."""
    made = Terminal()
    table = Table(made)
    with table._live._lock, table:  # no frame comes in between
        table.doing("round 3: broker-queue", RUN)
        drawn = len(made.text)
    assert "sequential" not in made.text[drawn:]
    made = Terminal()
    with Race(made, ["thread-pool"]) as race:
        race.doing("thread-pool: opening")
        drawn = len(made.text)
    assert "thread-pool" not in made.text[drawn:]


def test_a_low_window_shows_the_models_around_the_one_that_runs() -> None:
    assert some(["a", "b", "c", "d"], "c", 2) == ["b", "c"]
    assert some(["a", "b", "c", "d"], "a", 2) == ["a", "b"]
    assert some(["a", "b"], None, 5) == ["a", "b"]
    assert some(["a", "b"], "b", 0) == []
    made = Terminal(80, 6)
    with Table(made) as table:
        table.doing("round 3: broker-queue", RUN)
        shown = [line.split()[0] for line in made.last() if line.strip()]
    assert "broker-queue" in shown


# how long a leg takes


def test_a_bar_does_not_count_what_a_model_takes_to_open_or_to_close() -> None:
    def figure(begun: float | None, ended: float | None = None) -> str:
        made = Terminal()
        made.print(Bars(["process-pool"], {}, "process-pool", begun, ended))
        return " ".join(made.last()[0].split()[-2:])

    assert figure(None) == "opening …"
    now = time.monotonic()
    assert figure(now - 30, now - 28) == "2.0 s"
    assert re.fullmatch(r"3\d\.\d s", figure(now - 30))


def test_the_table_shows_opening_until_the_calls_begin() -> None:
    made = Terminal()
    with Table(made) as table:
        table.doing("round 3: process-pool", RUN)
        assert any("process-pool" in line and "opening …" in line for line in made.last())
        table.begins()
        table._live.refresh()
        assert not any("opening …" in line for line in made.last())
        table.doing("round 3: broker-queue", RUN)
        assert any("broker-queue" in line and "opening …" in line for line in made.last())


def test_the_budget_is_that_of_the_rounds_and_begins_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    made = Terminal()
    with Table(made) as table:
        table.doing("starting the embedded cluster", RUN)
        now += 7
        table._live.refresh()
        assert any("starting the embedded cluster (7 s)" in line for line in made.last())
        table.doing("round 1: sequential", RUN)
        assert any("round 1: sequential (0 s of about 60 s)" in line for line in made.last())
        now += 61
        table._live.refresh()
        assert any("round 1: sequential (61 s)" in line for line in made.last())


# the race

NAMES = ["thread-per-request", "thread-pool-rejecting", "broker-queue"]


def ended(model: str, *, arrived: int, refused: int = 0, left: int = 0) -> overload.Leg:
    rows = Trace(Row(n, n / 100, n / 100, n / 100, n / 100, "worker") for n in range(arrived))
    load = Load(
        *(rows, (None,) * arrived, (None,) * arrived),
        refused=tuple(range(refused)),
        left=tuple(range(arrived - left, arrived)),
        ended=5.0,
        stopped=True,
    )
    return overload.Leg(
        model, 100.0, True, 0.01, Rate(50, 300, 4.0), load, Resources(1.0, 1, 1, 1), samples=(), windows=()
    )


def test_every_model_has_a_row_from_the_start() -> None:
    made = Terminal()
    with Race(made, NAMES) as race:
        race.doing("thread-per-request: opening")
        lines = made.last()
        assert [line.split()[0] for line in lines[:3]] == NAMES
        assert all(line.rstrip().endswith("not yet") for line in lines[:3])
        race.doing("broker-queue is left out: no broker")
        assert made.last()[2].rstrip().endswith("left out")


def test_a_row_ends_with_the_figures_of_the_report() -> None:
    made = Terminal(120)
    with Race(made, NAMES) as race:
        race.doing("thread-per-request: calls arrive")
        race.moved("thread-per-request", Progress(4.0, 417, 0, 360), None)
        race.ended(ended("thread-per-request", arrived=360))
        assert "360 arrived" in made.last()[0]
        assert " 0 wait" in made.last()[0]
        assert "kept up" in made.last()[0]


@pytest.mark.parametrize("width", [120, 80, 50, 36])
def test_names_stay_whole_and_bars_do_not_jump(width: int) -> None:
    """Whatever the figures, each is where it was, and a narrow window does without some of them."""
    made = Terminal(width)
    seen = set()
    with Race(made, NAMES) as race:
        for due, multiple in ((0, 0.5), (9, 1.0), (20_999, 2.9), (20_999, None)):
            race._drawn = 0.0
            race.moved("thread-pool-rejecting", Progress(1.0, due, due // 2, due // 2), multiple)
            lines = made.last()[:3]
            assert [line.split()[0] for line in lines] == NAMES
            assert max(map(len, lines)) <= width
            assert "…" not in "".join(lines)
            table = race._table(NAMES, "")
            seen.add(tuple(table._calculate_column_widths(made, made.options)))
    assert len(seen) == 1
