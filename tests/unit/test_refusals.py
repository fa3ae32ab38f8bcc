"""Refused messages are counted, and told at most once in a while, however many there are."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import guard


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 30, allow_nan=False), max_size=60))
def test_each_is_counted_and_the_log_stays_short(pauses: list[float]) -> None:
    told: list[tuple[float, str]] = []
    clock = Clock()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append((clock.now, record.getMessage()))

    listener = Listener()
    guard.logger.addHandler(listener)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(guard, "time", clock)
            refusals = guard.Refusals()
            for pause in pauses:
                clock.now += pause
                refusals.refuse("it is not signed")
    finally:
        guard.logger.removeHandler(listener)
    assert refusals.count == len(pauses)
    times = [time for time, _ in told]
    assert all(later - earlier >= guard.QUIET for earlier, later in pairwise(times))
    assert bool(told) == bool(pauses)  # the first is told at once
    assert all("it is not signed" in text and "refused since the start" in text for _, text in told)
