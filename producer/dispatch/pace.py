"""How many calls travel in one message.

A message costs the producer, the broker and the worker some milliseconds, whatever it carries, and on a
machine that idles between calls the most: each process on the way has to be woken. So calls that take less
than that travel together; and also calls that take a little longer, as long as more wait than all processes
can run. Calls that take longer than MOST_SECONDS travel alone.

Two rules set the size of a batch, in seconds of expected work:

- It is at most MOST_SECONDS: then a message costs a few hundredths of its work at most.
- It is at most a share of what waits, a half for each process, so that all processes end at about the same
  time: guided self-scheduling (Polychronopoulos and Kuck, IEEE Trans. Computers C-36, 1987).

Both are met to the nearest call: one of which half still fits goes along.

And where the expectation is wrong, nobody waits behind a neighbour for long: calls that have not begun when
PATIENCE times the expected time is over are handed back by the worker (worker.tasks), and go elsewhere.

Nothing is known of a function's first calls, so they travel alone.
"""

from __future__ import annotations

import math

#: Seconds of work that a batch may hold.
MOST_SECONDS = 0.25
#: Seconds of work below which a batch is not made smaller for the sake of an even end: a message's own cost.
LEAST_SECONDS = 0.0015
#: How many times its expected seconds a batch may take, and seconds that it may take in any case, before the
#: calls that have not begun are handed back.
PATIENCE = 1.5
LEAST_SLICE = 0.02
#: Calls in a batch at most: more would not be faster, only later.
MOST_CALLS = 1_000
#: Bytes of pickled arguments after which a batch is closed.
MOST_BYTES = 1 << 20

#: The share of the difference that an estimate keeps with each call that was faster than expected: one fast
#: call proves little, a batch of them is believed. Slower calls are believed at once: a batch that is too
#: small costs less than one that is too large.
_KEEP = 0.5


class Pace:
    """What is known of the duration of each function's calls."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def expect(self, name: str) -> float:
        """Return the expected seconds of a call of the function `name`; infinite if nothing is known."""
        return self._seconds.get(name, math.inf)

    def learn(self, name: str, calls: int, seconds: float) -> None:
        """Take note that so many calls of a function took so many seconds in all."""
        if calls < 1:
            return
        mean = seconds / calls
        known = self._seconds.get(name)
        if known is not None and mean < known:
            mean += _KEEP**calls * (known - mean)
        self._seconds[name] = mean

    def room(self, name: str, waiting: int, processes: int) -> float:
        """Return how many seconds of work the next batch may hold.

        Args:
            name: the function of the call that waits longest; the others are taken to be like it.
            waiting: calls that wait.
            processes: that can run calls at the same time.
        """
        share = waiting * self.expect(name) / (2 * processes)
        return min(MOST_SECONDS, max(LEAST_SECONDS, share))


def slice_of(seconds: float) -> float:
    """Return the seconds after which a batch of so many expected seconds of work hands back the rest."""
    return PATIENCE * min(MOST_SECONDS, seconds) + LEAST_SLICE
