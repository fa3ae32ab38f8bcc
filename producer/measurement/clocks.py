"""Clocks: those of other machines, whose offset has to be estimated, and our own, which may be set."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from worker.call import HOST, clock, host_of

if TYPE_CHECKING:
    from producer.measurement.trace import Row

#: A change of the clock by less, in seconds, is no step but the two readings' own uncertainty.
_STEP = 0.001


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a host's clock is ahead of this machine's, in seconds.

    Attributes:
        value: the estimate.
        uncertainty: it may be so much more, or less.
    """

    value: float
    uncertainty: float

    @property
    def told(self) -> bool:
        """Whether the clocks surely differ; otherwise they agree as far as can be told."""
        return abs(self.value) > self.uncertainty


def offsets(rows: Iterable[Row], own: str = HOST) -> dict[str, Offset]:
    """Estimate how far the clocks of other hosts are ahead, from when their calls were sent and came back.

    No call starts before it was submitted, or is delivered before it finished. So on a host whose clock is
    ahead by x, for each call: finished - delivered <= x <= started - submitted. The largest of the lower
    bounds and the smallest of the upper bounds, over all calls, are what is known of x: the estimate is the
    middle between them, and its uncertainty is half their distance, whatever the delays were and however
    unequal both ways. (Cristian, "Probabilistic clock synchronization", Distributed Computing 3, 1989, for
    one message; NTP, RFC 5905, likewise takes the exchange with the shortest round trip, here separately for
    each way.) Bounds that contradict each other mean that the clock ran differently or was set meanwhile: the
    uncertainty then is what they contradict each other by.

    Args:
        rows: of one round.
        own: the name of this machine, whose clock is the measure. Processes on it have the same clock.
    """
    bounds: dict[str, tuple[float, float]] = {}
    for row in rows:
        host = host_of(row.worker)
        if host in ("", own) or row.started is None or row.finished is None:
            continue
        low, high = bounds.get(host, (float("-inf"), float("inf")))
        bounds[host] = max(low, row.finished - row.delivered), min(high, row.started - row.submitted)
    return {host: Offset((low + high) / 2, abs(high - low) / 2) for host, (low, high) in bounds.items()}


def corrected(rows: Iterable[Row], by: dict[str, Offset]) -> list[Row]:
    """Return rows on this machine's clock.

    Those of hosts whose clocks agree with it, as far as can be told, stay as they are.
    """
    by = {host: offset for host, offset in by.items() if offset.told}
    return [_shifted(row, by.get(host_of(row.worker))) for row in rows] if by else list(rows)


def _shifted(row: Row, offset: Offset | None) -> Row:
    if offset is None or row.started is None or row.finished is None:
        return row
    return replace(row, started=row.started - offset.value, finished=row.finished - offset.value)


def clock_base() -> float:
    """Return how far the clock of traces is ahead of the one that nobody can set; a step changes it.

    Of three readings the one counts that was interrupted least.
    """
    readings = []
    for _ in range(3):
        before, now, after = time.monotonic(), clock(), time.monotonic()
        readings.append((after - before, now - (before + after) / 2))
    return min(readings)[1]


def step(before: float, after: float) -> float:
    """Return the seconds by which the clock was set between two readings of `clock_base`; 0.0: it was not."""
    return after - before if abs(after - before) >= _STEP else 0.0
