"""What else the machine did while something was measured on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from producer.measurement.resources import tree


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

    def __add__(self, other: Noise) -> Noise:
        """Return that of both stretches of time."""
        return Noise(self.capacity + other.capacity, self.others + other.others, self.stolen + other.stolen)


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


@dataclass
class Ear:
    """Adds up what other programs did while something of ours was measured.

    Attributes:
        heard: that; None before anything was measured.
    """

    heard: Noise | None = None
    _me: psutil.Process = field(default_factory=psutil.Process)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for as long as the body runs; it may start processes, but none of ours may end in it."""
        earlier = meter(tree(self._me))
        try:
            yield
        finally:
            noise = earlier.noise(meter(tree(self._me)), 0.0)
            self.heard = noise if self.heard is None else self.heard + noise
