"""How long calls take where nothing competes with them: measured here, one after another."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from producer.experiments.job import CannotRunError, Job
from producer.measurement.trace import one_line
from worker.call import Call

#: Runs of a call at most, and seconds after which a call is not run again.
_MOST_RUNS, _EACH = 51, 0.05
#: Calls of which one takes less than so many times as long as the other are of one size; and so are all that
#: take no longer than so many seconds, of which noise is too large a share.
_ALIKE, _SHORTEST = 1.25, 1e-6


@dataclass(frozen=True, slots=True)
class Size:
    """Calls that take about equally long.

    Attributes:
        seconds: what they take, the median.
        places: which of a job's calls they are.
        job: the calls.
    """

    seconds: float
    places: tuple[int, ...]
    job: Job


def lengths(job: Job, limit: float = math.inf) -> list[float]:
    """Return what calls of a job take, in seconds, each the median of its runs.

    Args:
        job: its calls, in turn.
        limit: seconds after which no further call is begun.

    Raises:
        CannotRunError: a call failed.
    """
    asynchronous = job.function is None
    calls = job.calls(asynchronous=asynchronous)
    each = min(_EACH, limit / len(calls))
    end = time.monotonic() + limit
    found: list[float] = []
    with asyncio.Runner() as runner:  # makes its loop when it is needed
        for call in calls:
            runs: list[float] = []
            while not runs or (len(runs) < _MOST_RUNS and sum(runs) < each):
                try:
                    runs.append(runner.run(_awaited(call)) if asynchronous else _run(call))
                except (Exception, SystemExit) as error:
                    raise CannotRunError(f"{call} failed: {one_line(error)}") from error
            found.append(median(runs))
            if time.monotonic() > end:
                break
    return found


# Not by the clock of traces, which has to be the same everywhere: its steps are a quarter of a microsecond.


def _run(call: Call) -> float:
    begun = time.perf_counter()
    call.function(*call.args, **call.kwargs)
    return time.perf_counter() - begun


async def _awaited(call: Call) -> float:
    begun = time.perf_counter()
    await call.function(*call.args, **call.kwargs)
    return time.perf_counter() - begun


def cut(job: Job, taken: Sequence[float]) -> tuple[str, ...]:
    """Return a note on a job's calls that there was no time to measure, if there are such."""
    few, many = len(taken), len(job.arguments)
    if few == many:
        return ()
    return (f"Of {many:,} inputs the first {few:,} were measured: there was no time for more.",)


def grouped(job: Job, taken: Sequence[float], most: int) -> list[Size]:
    """Sort calls by their lengths, ascending; those that take about equally long are one size.

    Args:
        job: the calls.
        taken: seconds that each takes, of the first calls of the job.
        most: sizes, at least 2; if there were more, those next to each other are one.
    """
    groups = _groups(taken, _ALIKE)
    if len(groups) > most:
        longest, shortest = max(taken), max(min(taken), _SHORTEST)
        groups = _groups(taken, (longest / shortest) ** (1 / (most - 1)))
    return [
        Size(
            median(taken[place] for place in group),
            tuple(sorted(group)),
            replace(job, arguments=[job.arguments[place] for place in sorted(group)], expected=()),
        )
        for group in groups
    ]


def _groups(taken: Sequence[float], factor: float) -> list[list[int]]:
    """Return the places of lengths, ascending, those together that differ from the first by less."""
    groups: list[list[int]] = []
    for place in sorted(range(len(taken)), key=taken.__getitem__):
        if groups and taken[place] < factor * max(taken[groups[-1][0]], _SHORTEST):
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
