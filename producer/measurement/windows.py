"""Windows: what happened in each half second, say, of an open-loop load, from its rows and samples."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from producer.measurement.latencies import percentiles
from producer.measurement.load import Load
from producer.measurement.resources import Sample


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time. Counts are of calls.

    Attributes:
        start: seconds since the load began.
        end: likewise.
        arrived: were due in it.
        served: were delivered in it, whether they returned or raised.
        refused: were refused by `submit` in it.
        backlog: had arrived by its end and not ended.
        outside: of those, were not taken by `submit` yet.
        p50: seconds from arrival to delivery, of the calls that arrived in it and were not refused; those
            that had not ended when the load did count until then. None if there are none.
        p99: likewise.
        threads: of all processes, the most of its samples, or of the last one before; None without any.
        memory: bytes of all processes, likewise.
        cpu: cores kept busy, on average.
        switches: context switches a second.
    """

    start: float
    end: float
    arrived: int
    served: int
    refused: int
    backlog: int
    outside: int
    p50: float | None
    p99: float | None
    threads: int | None
    memory: int | None
    cpu: float
    switches: float


def windows(load: Load, samples: Sequence[Sample], length: float) -> tuple[Window, ...]:
    """Cut a load into windows of so many seconds.

    The last one ends with the load, and has half to one and a half of that: rates in a shorter one would be
    of a call or two.
    """
    import numpy as np

    left, refused = set(load.left), set(load.refused)
    due = [row.submitted for row in load.trace]  # ascending, as all below
    ended = sorted(row.delivered for row in load.trace if row.call not in left)
    turned_away = sorted(load.trace[call].delivered for call in refused)
    taken = sorted(time for time in load.taken if time is not None)
    seen = [sample.time for sample in samples]
    cpu, switches = [sample.cpu for sample in samples], [sample.switches for sample in samples]

    count = max(1, math.ceil(load.ended / length - 0.5 - 1e-9))
    found = []
    for number in range(count):
        last_one = number == count - 1
        start, end = number * length, load.ended if last_one else (number + 1) * length
        before = math.inf if last_one else end  # what happened at the very end is in the last one
        first, last = bisect_left(due, start), bisect_left(due, before)
        waits = [row.delivered - row.submitted for row in load.trace[first:last] if row.call not in refused]
        p50, p99 = percentiles(waits, 50, 99) if waits else (None, None)
        until = bisect_left(seen, before)
        looks = samples[min(bisect_left(seen, start), max(0, until - 1)) : until]
        ends, refusals = _within(ended, start, before), _within(turned_away, start, before)
        duration = max(end - start, 1e-9)
        found.append(
            Window(
                start=start,
                end=end,
                arrived=last - first,
                served=ends - refusals,
                refused=refusals,
                backlog=last - bisect_left(ended, before),
                outside=max(0, last - bisect_left(taken, before)),
                p50=p50,
                p99=p99,
                threads=max((look.threads for look in looks), default=None),
                memory=max((look.memory for look in looks), default=None),
                cpu=float(np.diff(np.interp((start, end), seen, cpu))[0]) / duration if samples else 0.0,
                switches=float(np.diff(np.interp((start, end), seen, switches))[0]) / duration
                if samples
                else 0.0,
            )
        )
    return tuple(found)


def _within(times: Sequence[float], start: float, end: float) -> int:
    """Return how many of some ascending times are from `start` to before `end`."""
    return bisect_left(times, end) - bisect_left(times, start)
