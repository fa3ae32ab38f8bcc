"""What else the machine did: all that its cores gave, without what was idle, stolen, or our own."""

from __future__ import annotations

import time

import psutil
import pytest

from producer.measurement.noise import Ear, Meter, Noise, meter

BEFORE = Meter({"user": 10.0, "system": 2.0, "idle": 100.0, "iowait": 1.0, "steal": 0.5}, 1.0)


def test_what_is_neither_idle_nor_stolen_nor_ours_is_others() -> None:
    """Ten seconds in all: six of users, of which 3.5 are the leg's and 0.5 ours beside it."""
    after = Meter({"user": 16.0, "system": 2.0, "idle": 102.0, "iowait": 2.0, "steal": 1.5}, 1.5)
    found = BEFORE.noise(after, 3.5)
    assert (found.capacity, found.others, found.stolen) == pytest.approx((10.0, 2.0, 1.0))


def test_ticks_that_make_others_negative_are_none() -> None:
    assert BEFORE.noise(BEFORE, 0.01).others == 0.0


def test_a_system_that_tells_no_steal_has_none_stolen() -> None:
    assert (
        Meter({"user": 1.0, "idle": 1.0}, 0.0).noise(Meter({"user": 2.0, "idle": 1.0}, 0.0), 0.0).stolen
        == 0.0
    )


def test_a_meter_reads_this_machine_and_our_own_processes() -> None:
    first = meter([psutil.Process()])
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    second = meter([psutil.Process()])
    assert second.ours > first.ours
    assert first.noise(second, 0.0).capacity > 0


def test_a_process_that_is_gone_has_used_nothing() -> None:
    gone = psutil.Popen(["true"])
    gone.wait()
    assert meter([gone]).ours == 0.0


def test_what_was_heard_adds_up_and_is_not_of_our_own_making() -> None:
    ear = Ear()
    assert ear.heard is None
    for _ in range(2):
        with ear.listening():
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass
    heard = ear.heard
    assert heard is not None
    assert heard.capacity > 0
    assert 0 <= heard.others <= heard.capacity


def test_noise_of_two_stretches_is_their_sum() -> None:
    assert Noise(1.0, 0.5, 0.25) + Noise(2.0, 1.0, 0.0) == Noise(3.0, 1.5, 0.25)
