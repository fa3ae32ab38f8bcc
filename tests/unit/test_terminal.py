"""What a person sees of a run: every model, every figure, whatever the width of the window."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from runs_for_tests import leg, one_after_another, rounds, run_of

from producer.measurement.run import Problem, Run
from producer.models import MODELS
from producer.reports.change import changes_of
from producer.reports.change import show as show_changes
from producer.reports.progress import Bars, Lines, Share, Table
from producer.reports.report import report_of
from producer.reports.terminal import show
from producer.reports.visible import Terminal

#: Starts an escape sequence, rings, and turns text around.
STEERING = {"\x1b", "\x07", "\u202e"}
RUN = run_of(
    *rounds("sequential", [4.0, 4.1, 3.9]),
    *rounds("thread-pool", [2.0, 2.1, 1.9], at_once=4),
    models=("sequential", "thread-pool", "event-loop"),
    unavailable={"event-loop": "needs a coroutine function (async def)"},
)


def console(width: int = 200, *, terminal: bool = False, **options: Any) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    made = Terminal(
        file=stream, width=width, force_terminal=terminal, _environ={"TERM": "xterm-256color"}, **options
    )
    return made, stream


def reported(run: Run, width: int = 200, **options: Any) -> str:
    made, stream = console(width, **options)
    show(report_of(run), made)
    return stream.getvalue()


def line_of(text: str, model: str) -> str:
    return next(line for line in text.splitlines() if line.split()[:1] == [model])


def test_the_header_says_what_ran_and_where() -> None:
    made = report_of(RUN)
    assert made.title == "sum: 2 calls, 4 workers, 3 rounds"
    assert made.where.startswith("CPython 3.11.7, 4 cores, Linux 6, 2023-11-1")


def test_a_models_line_has_its_figures() -> None:
    words = line_of(reported(RUN), "thread-pool").split()
    assert words[1:9] == ["2.00", "s", "1.90", "to", "2.10", "s", "2.00", "1.88"]


def test_sequential_has_no_interval_against_itself() -> None:
    assert line_of(reported(RUN), "sequential").split()[7:9] == ["1.00", "–"]


def test_a_model_that_cannot_run_is_listed_with_the_reason() -> None:
    assert "needs a coroutine function (async def)" in line_of(reported(RUN), "event-loop")


@pytest.mark.parametrize("width", [200, 80, 40])
def test_every_figure_is_shown_at_any_width(width: int) -> None:
    text = reported(RUN, width)
    for header_ in ("makespan", "spread", "calls/s", "p50", "p99", "overhead", "memory", "processes"):
        assert any(header_ in line.split() for line in text.splitlines())


@pytest.mark.parametrize("width", [200, 80, 40])
def test_no_line_is_wider_than_the_window(width: int) -> None:
    assert max(len(line.rstrip()) for line in reported(RUN, width).splitlines()) <= width


def test_wrong_results_are_shown_with_their_call() -> None:
    text = reported(replace(RUN, problems=(Problem("thread-pool", "sum(1)", "returned 2"),)))
    assert "WRONG: thread-pool: sum(1) returned 2" in text


def test_only_so_many_wrong_results_are_shown_and_the_rest_counted() -> None:
    problems = tuple(Problem("thread-pool", f"sum({i})", "returned 2") for i in range(25))
    text = reported(replace(RUN, problems=problems))
    assert text.count("WRONG: ") == 10
    assert "and 15 more like these" in text


def test_brackets_in_calls_and_reasons_are_text_and_no_markup() -> None:
    run = replace(RUN, problems=(Problem("thread-pool", "total([bold])", "returned [/red]"),))
    assert "total([bold]) returned [/red]" in reported(run)


def test_the_fastest_stands_out_in_colour_on_a_terminal() -> None:
    assert "\x1b[1;32m" in reported(RUN, terminal=True)


def test_no_color_leaves_no_colour() -> None:
    assert "32m" not in reported(RUN, terminal=True, no_color=True)


def test_plain_text_has_no_escapes() -> None:
    assert "\x1b" not in reported(RUN)


def test_a_run_without_a_leg_has_a_report_too() -> None:
    """Interrupted before anything was measured."""
    text = reported(run_of(models=("sequential",), notes=("A note.",)))
    assert "A note." in text


# while it goes on


def test_lines_tell_each_leg() -> None:
    made, stream = console()
    with Lines(made) as lines:
        lines.doing("round 1: sequential", RUN)  # its end will say it
        lines.measured(RUN.legs[0], RUN)
    assert stream.getvalue().split() == ["round", "1", "sequential", "4.00", "s"]


def test_lines_tell_what_failed() -> None:
    rows = (*one_after_another(1.0), replace(one_after_another(1.0)[0], call=1, error="ValueError"))
    made, stream = console()
    with Lines(made) as lines:
        lines.measured(leg("thread-pool", rows), RUN)
    assert stream.getvalue().rstrip().endswith("1 of 2 calls failed")


def test_lines_tell_what_begins_and_what_is_left_out() -> None:
    made, stream = console()
    with Lines(made) as lines:
        lines.doing("starting the embedded cluster", RUN)
        lines.left_out("event-loop", "needs [a] coroutine", RUN)
    assert stream.getvalue().splitlines() == [
        "starting the embedded cluster",
        "left out: event-loop: needs [a] coroutine",
    ]


def test_the_table_shows_what_goes_on_and_what_is_known() -> None:
    made, stream = console(terminal=True)
    with Table(made) as table:
        table.doing("round 2: thread-pool", RUN)
        table.measured(RUN.legs[0], RUN)
        table.left_out("event-loop", "needs a coroutine", RUN)
    text = stream.getvalue()
    assert "round 2: thread-pool (0 s of about 60 s)" in text
    assert "2.00 s" in text


def test_the_table_keeps_a_link_on_the_screen() -> None:
    made, stream = console(terminal=True)
    with Table(made) as table:
        table.doing("Flower shows the cluster at http://127.0.0.1:1", RUN)
        stream.truncate(0)
        table.doing("round 1: sequential", RUN)
        assert "http://127.0.0.1:1" in stream.getvalue()


def test_the_table_leaves_the_screen_to_the_report() -> None:
    """Its last act is to clear its lines and to show the cursor again."""
    made, stream = console(terminal=True)
    with Table(made) as table:
        table.doing("round 1: sequential", RUN)
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l")
    assert "\x1b[2K" in stream.getvalue()[stream.getvalue().rfind("round 1") :]


# the bars


def bars(made: Bars, width: int = 60, **options: Any) -> list[str]:
    """Draw bars on a terminal without colour, where what is not reached stays blank."""
    on, stream = console(width, terminal=True, no_color=True, **options)
    on.print(made)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()


def length(line: str) -> float:
    return line.count("━") + line.count("╸") / 2


def test_a_bar_is_as_long_as_the_makespan_against_the_slowest() -> None:
    slow, fast, none = bars(
        Bars(
            ["sequential", "thread-pool", "process-pool"], {"sequential": 4.0, "thread-pool": 1.0}, None, 0.0
        )
    )
    assert slow.split()[-2:] == ["4.00", "s"]
    assert length(fast) == pytest.approx(length(slow) / 4, abs=1)
    assert none.split() == ["process-pool", "–"]


def test_the_bar_of_what_runs_grows_and_the_others_shrink_once_it_is_the_slowest() -> None:
    """From nothing but the clock: nobody tells it."""
    now = time.monotonic()
    known = {"sequential": 4.0, "thread-pool": 2.0}
    early, later, latest = (bars(Bars(list(known), known, "thread-pool", now - ago)) for ago in (1, 3, 400))
    assert length(early[1]) < length(later[1]) < length(latest[1])
    assert length(latest[0]) < length(later[0]) == length(early[0])


def test_without_a_makespan_the_bar_of_what_runs_only_moves() -> None:
    first, _ = bars(Bars(["sequential", "thread-pool"], {}, "sequential", time.monotonic()))
    assert first.split()[0] == "sequential"
    assert first.split()[-1] == "s"


@pytest.mark.parametrize("width", [100, 60, 40])
def test_bars_fit_the_window_and_hold_every_model(width: int) -> None:
    lines = bars(Bars(list(MODELS), {"sequential": 4.0}, "thread-pool", time.monotonic()), width)
    assert [line.split()[0] for line in lines] == list(MODELS)
    assert max(len(line.rstrip()) for line in lines) <= width


def test_the_table_races_the_model_that_runs_until_its_leg_is_over() -> None:
    made, stream = console(terminal=True)
    with Table(made) as table:
        table.doing("round 2: thread-pool", RUN)
        assert "\x1b[1mthread-pool\x1b[0m" in stream.getvalue()
        stream.truncate(0)
        table.measured(RUN.legs[0], RUN)
        assert "\x1b[1mthread-pool\x1b[0m" not in stream.getvalue()


def test_characters_that_steer_a_terminal_are_written_with_their_escapes() -> None:
    hidden = "a\x1b[31m\x07\u202eb"
    shown = reported(
        replace(
            RUN,
            workload=hidden,
            notes=(hidden, f"http://{hidden}"),
            unavailable={"event-loop": hidden},
            problems=(Problem("thread-pool", hidden, f"failed {hidden}"),),
        )
    )
    assert not STEERING & set(shown)
    assert shown.count(r"a\x1b[31m\u202eb") == 6


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_steers_no_terminal_with_what_others_wrote(*, terminal: bool) -> None:
    """A terminal is steered, but by rich alone."""
    hidden = "a\x1b]0;title\x07\u202eb [bold]"
    made, stream = console(terminal=terminal)
    with Share(made) as share:
        share.doing(hidden)
    lines = Lines(made)
    lines.doing(hidden, RUN)
    lines.left_out("event-loop", hidden, RUN)
    with Table(made) as table:
        table.doing(f"http://{hidden}", RUN)
    shown = stream.getvalue()
    assert not {"\x1b]", "\u202e"} & {*shown, *(shown[at : at + 2] for at in range(len(shown)))}
    assert shown.count(r"a\x1b]0;title\u202eb [bold]") >= 3


def test_changes_steer_no_terminal_with_what_others_saved() -> None:
    hidden = "a\x1b[31m\u202eb"
    alone = replace(RUN, legs=RUN.legs[:3], unavailable={"thread-pool": hidden})
    made, stream = console()
    for told in (changes_of(RUN, alone), changes_of(replace(RUN, workload=hidden), RUN)):
        assert told is not None
        show_changes(told, made)
    assert not STEERING & set(stream.getvalue())
    assert stream.getvalue().count(r"a\x1b[31m\u202eb") == 2


def test_a_long_problem_is_told_with_its_beginning() -> None:
    shown = reported(replace(RUN, problems=(Problem("thread-pool", "f(1)", "x" * 5000),)))
    assert shown.count("x") < 300
    assert "xx…" in shown
