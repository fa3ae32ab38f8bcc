"""What else the machine did while something was measured on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Noise:
    """CPU time of a whole machine during a leg, in seconds. It is told in ticks of 10 ms, so only sums count.

    Attributes:
        capacity: what all cores had to give.
        others: what processes used that had no part in the leg.
        stolen: what other virtual machines on the same host were given instead (steal time); 0 where the
            system does not tell.
    """

    capacity: float
    others: float
    stolen: float


@dataclass(frozen=True, slots=True)
class Meter:
    """CPU seconds since the machine started, to be compared with a later reading.

    Attributes:
        spent: of all cores, by what they were spent on.
        ours: of our own processes that have no part in what is measured.
    """

    spent: dict[str, float]
    ours: float

    def noise(self, later: Meter, part: float) -> Noise:
        """Return what the machine did from here to a later reading.

        Args:
            later: that reading, with the same processes of our own.
            part: CPU seconds that the processes used which had a part in the leg.
        """
        spent = {name: later.spent[name] - seconds for name, seconds in self.spent.items()}
        capacity = sum(spent.values())
        stolen = spent.get("steal", 0.0)
        idle = spent["idle"] + spent.get("iowait", 0.0)
        others = capacity - idle - stolen - part - (later.ours - self.ours)
        return Noise(capacity, max(0.0, others), max(0.0, stolen))


def meter(ours: Iterable[psutil.Process] = ()) -> Meter:
    """Read the machine's CPU times now; `ours` are processes of our own that have no part in the leg."""
    # Linux counts the time of guests as user and nice, too: man 5 proc_stat.
    spent = {
        name: seconds
        for name, seconds in psutil.cpu_times()._asdict().items()
        if name not in ("guest", "guest_nice")
    }
    used = 0.0
    for process in ours:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used += times.user + times.system
    return Meter(spent, used)
