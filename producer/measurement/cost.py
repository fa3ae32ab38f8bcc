"""What measuring itself costs: figures of calls that do nothing are to be read beside it."""

from __future__ import annotations

import timeit

from worker import workloads
from worker.call import Call, run

#: Calls that are timed at a time, and how often.
_CALLS, _REPEATS = 2_000, 7


def measuring_cost() -> float:
    """Return the seconds that a worker spends on measuring one call.

    It is the time that `run` takes for a call of `noop` beyond what calling `noop` takes: reading the clock
    twice, and writing down when and where the call ran. Each is taken as the fastest of some repeats, since
    whatever else runs can only add to them (the advice of the standard library's `timeit.repeat`).
    """
    call = Call(workloads.noop, (0,))
    function, args, kwargs = call.function, call.args, call.kwargs
    bare = min(timeit.repeat(lambda: function(*args, **kwargs), number=_CALLS, repeat=_REPEATS))
    measured = min(timeit.repeat(lambda: run(call), number=_CALLS, repeat=_REPEATS))
    return max(0.0, measured - bare) / _CALLS
