"""What `producer futures` says of a future's life is what was seen of it."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from runs_for_tests import ENVIRONMENT

from producer.experiments.futures import (
    CALLBACK,
    COMPLETED,
    DONE,
    LIFE,
    LIMIT,
    NOT_DONE,
    SUBMITTED,
    TIMEOUT,
    Cancel,
    Event,
    GivenUp,
    Lives,
    state_of,
)
from producer.measurement.result import load, save
from producer.reports.futures import Story, findings, line, report, states
from producer.reports.report import load_any
from producer.reports.terminal import show
from worker.alive import alive, signs

POOL, QUEUE = "thread-pool", "broker-queue"


def lives(*events: Event, **more: Any) -> Lives:
    return Lives(
        workload="sum",
        timeout=7.0,
        models=tuple(dict.fromkeys(event.model for event in events)),
        settings={"workers": 2},
        environment=ENVIRONMENT,
        began=1_700_000_000.0,
        events=events,
        **more,
    )


def event(what: str, state: str, at: float = 0.0, number: int = 1, **more: Any) -> Event:
    return Event(more.pop("model", POOL), LIFE, at, number, f"sum({number})", what, state, **more)


def of_every_kind() -> Lives:
    return lives(
        event(SUBMITTED, "PENDING"),
        event(SUBMITTED, "RUNNING", 0.1, 2),
        event(CALLBACK, "FINISHED", 1.0, detail="on thread pool_0"),
        event(DONE, "FINISHED", 7.1),
        event(NOT_DONE, "RUNNING", 7.1, 2),
        event(
            COMPLETED, "FINISHED", 7.2, detail="done() True, cancelled() False, exception() ValueError: no"
        ),
        event(COMPLETED, "FINISHED", 9.1, 2, detail="done() True, cancelled() False, result() 3"),
        event(SUBMITTED, "CANCELLED", model=QUEUE),
        cancels=(
            Cancel(POOL, 3, "RUNNING", begun=True, cancelled=False, ended=True),
            Cancel(POOL, 4, "PENDING", begun=False, cancelled=True, ended=False),
        ),
        given_up=(
            GivenUp(POOL, TIMEOUT, 0.5, "RUNNING", 10, 30, ended=True),
            GivenUp(QUEUE, TIMEOUT, 0.5, "RUNNING", 10, 29, ended=True),
            GivenUp(QUEUE, LIMIT, 0.5, "FINISHED", 10, 0, ended=False, error="TimeoutError: too long"),
        ),
    )


def said(some: Lives) -> str:
    return "\n".join(findings(some))


def test_a_future_that_was_not_done_at_the_timeout_is_named_and_followed_to_its_end() -> None:
    assert (
        "thread-pool: wait gave up after 7.00 s with 1 of 2 futures done; not done: sum(2). "
        "It went on for 2.00 s."
    ) in said(of_every_kind())


def test_where_all_were_done_no_timeout_is_claimed() -> None:
    words = said(lives(event(SUBMITTED, "PENDING"), event(DONE, "FINISHED", 2.5)))
    assert "wait returned with all 1 futures done, 2.50 s after the last submit" in words
    assert "gave up" not in words


def test_a_timeout_stops_nothing_and_a_time_limit_does() -> None:
    words = said(of_every_kind())
    assert (
        "the call went on, to its end, on thread-pool (30 signs of life after that) and broker-queue" in words
    )
    assert "broker-queue: the time limit stopped the same call after 500 ms: no sign of life after" in words
    assert "No other model here has such a limit (thread-pool)." in words


def test_a_result_that_came_after_all_shows_that_its_call_went_on() -> None:
    """Where its signs of life are on another machine, that is what there is."""
    unseen = GivenUp(QUEUE, TIMEOUT, 0.5, "RUNNING", 0, 0, ended=True)
    words = said(lives(event(SUBMITTED, "PENDING", model=QUEUE), given_up=(unseen,)))
    assert "stops nothing: the call went on, to its end, on broker-queue (its result came later)." in words


@pytest.mark.parametrize(
    "gone",
    [
        GivenUp(QUEUE, LIMIT, 0.5, "FINISHED", 0, 0, ended=False, error="CallError: no such module"),
        GivenUp(QUEUE, LIMIT, 0.5, "FINISHED", 9, 4, ended=True, error="TimeoutError: too long"),
        GivenUp(QUEUE, LIMIT, 2.5, "FINISHED", 40, 0, ended=True),
    ],
    ids=["failed otherwise", "went on", "in time"],
)
def test_a_call_counts_as_stopped_only_where_its_signs_of_life_end(gone: GivenUp) -> None:
    assert "stopped the same call" not in said(lives(event(SUBMITTED, "PENDING"), given_up=(gone,)))


def test_a_call_whose_signs_of_life_are_on_another_machine_is_not_judged() -> None:
    unseen = GivenUp(QUEUE, TIMEOUT, 0.5, "RUNNING", 0, 0, ended=False)
    words = said(lives(event(SUBMITTED, "PENDING", model=QUEUE), given_up=(unseen,)))
    assert "can't be seen from here" in words
    assert "stops nothing" not in words


def test_cancelling_is_told_for_calls_that_had_begun_and_for_others() -> None:
    assert (
        "thread-pool: cancel() returned True for 1 of 1 call that had not begun, none of which ran, and True "
        "for 0 of 1 that had begun."
    ) in said(of_every_kind())


def test_what_can_not_be_seen_to_have_run_is_not_said_to_have_not() -> None:
    unseen = Cancel(QUEUE, 3, "PENDING", begun=False, cancelled=True, ended=None)
    words = said(lives(event(SUBMITTED, "PENDING", model=QUEUE), cancels=(unseen,)))
    assert "broker-queue: cancel() returned True for 1 of 1 call that had not begun." in words


def test_a_future_that_says_running_in_the_pipe_is_pointed_out() -> None:
    early = Cancel("process-pool", 3, "RUNNING", begun=False, cancelled=False, ended=True)
    words = said(lives(event(SUBMITTED, "PENDING", model="process-pool"), cancels=(early,)))
    assert "1 future said RUNNING already, for a call still in the pool's pipe" in words


def test_states_are_in_the_order_of_a_life() -> None:
    assert states(of_every_kind(), POOL) == ["PENDING", "RUNNING", "FINISHED"]


def test_every_result_survives_being_saved(tmp_path: Path) -> None:
    save(of_every_kind(), tmp_path / "futures.json")
    assert load(tmp_path / "futures.json", Lives) == of_every_kind()
    assert load_any(tmp_path / "futures.json") == of_every_kind()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_report_fits_any_window(width: int) -> None:
    file = io.StringIO()
    show(report(of_every_kind()), Console(file=file, width=width))
    assert max(map(len, file.getvalue().splitlines())) <= width


def test_a_result_of_nothing_has_nothing_to_say() -> None:
    assert findings(lives()) == []


def test_a_line_holds_the_time_the_call_the_event_and_the_state() -> None:
    text = line(event(NOT_DONE, "RUNNING", 7.0421, 2, detail="on thread pool_0"), 18).plain
    assert text.split() == [
        "7.042",
        "s",
        "2",
        "sum(2)",
        *NOT_DONE.split(),
        "RUNNING",
        "on",
        "thread",
        "pool_0",
    ]


def test_a_line_is_written_when_it_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also into a file or a pipe, which Python would keep in a buffer."""
    flushed: list[str] = []
    file = io.StringIO()
    monkeypatch.setattr(file, "flush", lambda: flushed.append(file.getvalue()))
    Story(Console(file=file)).happened(event(SUBMITTED, "PENDING"))
    assert "PENDING" in flushed[-1]


def test_states_are_those_of_the_standard_library() -> None:
    gate, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(30)

    with ThreadPoolExecutor(1) as executor:
        try:
            running = executor.submit(hold)
            assert begun.wait(30)
            waiting: Future[None] = executor.submit(hold)
            assert (state_of(running), state_of(waiting)) == ("RUNNING", "PENDING")
            waiting.cancel()
            assert state_of(waiting) == "CANCELLED"
        finally:
            gate.set()
    assert state_of(running) == "FINISHED"


def test_signs_of_life_tell_of_the_whole_call(tmp_path: Path) -> None:
    path = str(tmp_path / "signs")
    assert signs(path) == ([], False)
    begun = time.time()
    assert alive(path, 0.12) == 0.12
    times, ended = signs(path)
    assert ended
    assert len(times) >= 1
    assert all(begun <= moment <= time.time() for moment in times)


def test_a_call_goes_on_where_its_signs_cannot_be_written(tmp_path: Path) -> None:
    """The directory is on the producer's machine; the worker may be on another."""
    assert alive(str(tmp_path / "not here" / "signs"), 0.01) == 0.01
