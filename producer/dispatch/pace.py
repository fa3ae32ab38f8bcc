"""How many calls travel in one message.

A message costs the producer, the broker and the worker about 1.5 ms, whatever it carries. So calls that
take microseconds travel together, and calls that take longer than that cost travel alone: nobody waits
behind a neighbour for longer than it would take to send him by himself.

Two rules set the size of a batch, in seconds of expected work:

- It is at most SLICE. What turns out to take longer is handed back by the worker (worker.tasks).
- It is at most a share of what waits, a half for each process, so that all processes end at about the same
  time: guided self-scheduling (Polychronopoulos and Kuck, IEEE Trans. Computers C-36, 1987).

Nothing is known of a function's first calls, so they travel alone.
"""

from __future__ import annotations

#: Seconds of work that a batch may hold.
SLICE = 0.020
#: Seconds of work below which a batch is not made smaller for the sake of an even end: a message's own cost.
SMALLEST = 0.0015
#: Calls in a batch at most: more would not be faster, only later.
MOST_CALLS = 1_000
#: Bytes of pickled arguments after which a batch is closed.
MOST_BYTES = 1 << 20

#: The share of the difference that an estimate falls by when calls were faster than expected. Slower calls
#: are believed at once: a batch that is too small costs less than one that is too large.
_FALL = 0.5


class Pace:
    """What is known of the duration of each function's calls."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def expect(self, name: str) -> float:
        """Return the expected seconds of a call of the function `name`; SLICE if nothing is known."""
        return self._seconds.get(name, SLICE)

    def learn(self, name: str, calls: int, seconds: float) -> None:
        """Take note that so many calls of a function took so many seconds in all."""
        if calls < 1:
            return
        mean = seconds / calls
        known = self._seconds.get(name)
        if known is not None and mean < known:
            mean = known - _FALL * (known - mean)
        self._seconds[name] = mean

    def room(self, name: str, waiting: int, processes: int) -> float:
        """Return how many seconds of work the next batch may hold.

        Args:
            name: the function of the call that waits longest; the others are taken to be like it.
            waiting: calls that wait.
            processes: that can run calls at the same time.
        """
        share = waiting * self.expect(name) / (2 * processes)
        return min(SLICE, max(SMALLEST, share))
