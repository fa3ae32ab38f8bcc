"""The heartbeat hides no stall, and what is said of it follows from how late it was."""

from __future__ import annotations

import asyncio
import io
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from runs_for_tests import ENVIRONMENT

from producer.experiments.blocking import (
    COMPUTING,
    IDLE,
    PERIOD,
    RELEASING,
    WAITING,
    Heartbeats,
    Leg,
    _Heart,
    blocking,
)
from producer.experiments.job import job
from producer.measurement.result import load, save
from producer.reports.blocking import beats, findings, report
from producer.reports.report import load_any
from producer.reports.terminal import show

ON_TIME = (1_000, 1_100, 1_200, 1_050)
#: A loop that stood still for half a second: 50 beats are owed then, each by 10 ms less than the one before.
STALLED = tuple(range(490_000, 0, -10_000))


def legs(
    work: str, way: str, *lateness: tuple[int, ...], held: float = 2e-5, makespan: float = 0.5
) -> list[Leg]:
    return [Leg(work, way, n, 8, held, makespan, late) for n, late in enumerate(lateness, 1)]


def heartbeats(*some: list[Leg], **changes: Any) -> Heartbeats:
    flat = tuple(leg for one in some for leg in one)
    made: dict[str, Any] = {
        "works": tuple(dict.fromkeys(leg.work for leg in flat)),
        "period": PERIOD,
        "switch_interval": 0.005,
        "models": tuple(dict.fromkeys(leg.way for leg in flat if leg.way != IDLE)),
        "settings": {"workers": 2, "rounds": 3},
        "environment": ENVIRONMENT,
        "began": 1_700_000_000.0,
        "legs": flat,
        **changes,
    }
    return Heartbeats(**made)


def of_every_kind() -> Heartbeats:
    late = tuple(20 * one for one in ON_TIME)
    return heartbeats(
        legs(WAITING, IDLE, ON_TIME, ON_TIME, ON_TIME),
        legs(WAITING, "sequential", STALLED, STALLED, STALLED, held=0.05),
        legs(WAITING, "event-loop", ON_TIME, ON_TIME, ON_TIME, held=5e-6, makespan=0.05),
        legs(COMPUTING, IDLE, ON_TIME, ON_TIME, ON_TIME),
        legs(COMPUTING, "event-loop", STALLED, STALLED, STALLED, held=5e-6),
        legs(
            COMPUTING, "thread-pool", late[:1] + 9 * ON_TIME, late[:1] + 9 * ON_TIME, late[:1] + 9 * ON_TIME
        ),
        legs(RELEASING, IDLE, ON_TIME, ON_TIME, ON_TIME),
        legs(RELEASING, "thread-pool", ON_TIME, ON_TIME, ON_TIME),
    )


def said(result: Heartbeats) -> str:
    return "\n".join(findings(result))


def test_a_loop_that_stands_still_owes_every_beat_that_was_due() -> None:
    """The lateness of a stall of 0.3 s is that of 30 beats, and not that of the one that comes after it."""

    async def stand_still() -> tuple[int, ...]:
        heart = _Heart()
        await asyncio.sleep(0)
        time.sleep(0.3)
        return await heart.stop()

    lateness = asyncio.run(stand_still())
    assert len(lateness) >= 29
    assert lateness[0] >= 1e6 * (0.3 - 2 * PERIOD)
    assert sum(late >= 1e6 * PERIOD for late in lateness) >= 28
    for before, after in pairwise(lateness):
        assert after >= before - 1e6 * PERIOD - 1


def test_beats_that_are_not_due_yet_do_not_count() -> None:
    async def too_short() -> tuple[int, ...]:
        return await _Heart().stop()

    assert asyncio.run(too_short()) == ()


def test_the_heart_stopped_where_most_beats_were_missed() -> None:
    words = said(of_every_kind())
    assert (
        "waiting: the heart stopped with sequential (147 of 147 beats missed, the latest by 490 ms)." in words
    )
    assert "computing: the heart stopped with event-loop" in words


def test_a_way_within_noise_of_idle_beats_on() -> None:
    assert (
        "waiting: it beat on; no lateness of 2.00 ms or more can be told from noise in 3 rounds, "
        "p99: event-loop 1.20 ms; idle 1.20 ms." in said(of_every_kind())
    )


def test_more_lateness_than_noise_is_a_disturbance() -> None:
    beat = beats(of_every_kind(), COMPUTING)["thread-pool"]
    assert beat.disturbed
    assert not beat.stopped
    words = said(of_every_kind())
    assert "computing: it was disturbed, by more than noise, with thread-pool (p99 " in words
    assert "What the GIL does to the loop, as p99: thread-pool" in words


def test_a_single_round_knows_no_noise_and_claims_no_disturbance() -> None:
    once = heartbeats(legs(COMPUTING, IDLE, ON_TIME), legs(COMPUTING, "thread-pool", (20_000, *9 * ON_TIME)))
    words = said(once)
    assert "disturbed" not in words
    assert "beat on" not in words
    assert "One round does not tell what of that is noise." in words


def test_nothing_is_blamed_on_a_gil_that_is_not_there() -> None:
    from dataclasses import replace

    free = replace(of_every_kind(), environment=replace(ENVIRONMENT, gil=False))
    assert "GIL" not in said(free)


def test_the_words_are_told_by_figures() -> None:
    words = said(of_every_kind())
    assert "Synchronous: a call returned after 50.0 ms, with its result (sequential, waiting)." in words
    assert "Asynchronous: it returned after 5.00 µs, and the last result was there 50.0 ms after" in words
    assert "Asynchronous does not mean non-blocking: computing in coroutines, a call returned after" in words


def test_every_result_survives_being_saved(tmp_path: Path) -> None:
    save(of_every_kind(), tmp_path / "heart.json")
    assert load(tmp_path / "heart.json", Heartbeats) == of_every_kind()
    assert load_any(tmp_path / "heart.json") == of_every_kind()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_report_fits_any_window(width: int) -> None:
    file = io.StringIO()
    show(report(of_every_kind()), Console(file=file, width=width))
    assert max(map(len, file.getvalue().splitlines())) <= width


@pytest.mark.parametrize(
    "result",
    [heartbeats(), heartbeats(legs(WAITING, IDLE, ON_TIME)), heartbeats(legs(WAITING, "event-loop", ()))],
)
def test_an_interrupted_run_says_what_it_can(result: Heartbeats) -> None:
    assert not [sentence for sentence in findings(result) if "stopped" in sentence]
    show(report(result), Console(file=io.StringIO()))


class _Nobody:
    def doing(self, what: str) -> None:
        pass

    def measured(self, share: float) -> None:
        pass


def test_a_call_on_the_loop_stops_the_heart_and_an_awaited_one_does_not() -> None:
    result = blocking(
        job("sleep", quick=True), ["sequential", "event-loop"], 2, quick=True, seed=1, observer=_Nobody()
    )
    assert result.works == ("sleep",)
    assert not result.problems
    heart = beats(result, "sleep")
    assert heart["sequential"].stopped
    assert heart["sequential"].missed > heart["event-loop"].missed
    assert heart["sequential"].returns > 10 * heart["event-loop"].returns
