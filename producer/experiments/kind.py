"""Kinds of call whose length can be chosen: what an experiment needs that varies it, or keeps it equal."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from producer.experiments.job import Arguments, Job, is_asynchronous, load_function
from worker import workloads

#: What calls may do, and the words for it.
KINDS = {
    "cpu": "pure-Python computing",
    "digest": "computing in C, which releases the GIL",
    "io": "waiting",
}
#: Workloads whose calls can be of any length, too.
_WORKLOADS = {
    "sum": "pure-Python computing (sum)",
    "sleep": "waiting (sleep)",
    "fetch": "waiting for a network (fetch)",
}
#: Seconds that a run takes at least in which a call's length is measured: long against the clock's steps.
_LONG_ENOUGH = 5e-3


@dataclass(frozen=True)
class Kind:
    """A kind of call.

    Attributes:
        name: what the user calls it.
        function: the plain function; None if there is none.
        async_function: the coroutine function; None if there is none.
        arguments: makes the seconds that a call shall take the arguments that have it take them.
    """

    name: str
    function: Callable[..., Any] | None
    async_function: Callable[..., Any] | None
    arguments: Callable[[float], tuple[Any, ...]]

    def job(self, *seconds: float) -> Job:
        """Return a job with a call that takes so many seconds, or one for each of several lengths."""
        arguments: list[Arguments] = [(self.arguments(one), {}) for one in seconds]
        return Job(self.name, self.function, self.async_function, arguments)


def words(name: str) -> str:
    """Say what the calls of a kind do."""
    return KINDS.get(name) or _WORKLOADS.get(name) or name


def sized(name: str) -> bool:
    """Tell whether there is a kind of call of this name; every `module:function` is one."""
    return name in KINDS or name in _WORKLOADS or ":" in name


def kind(name: str, stack: ExitStack) -> Kind:
    """Return a kind of call, its length adjusted to this machine.

    Args:
        name: one that is `sized`; `module:function` is called with its seconds.
        stack: closes the HTTP server that `fetch` needs.

    Raises:
        InputError: there is no such function.
    """
    if name in ("io", "sleep"):
        return Kind(name, workloads.sleep, workloads.sleep_async, lambda seconds: (seconds,))
    if name in ("cpu", "sum"):
        function = workloads.spin if name == "cpu" else workloads.sum
        turns = _turns_a_second(lambda n: function(n))
        return Kind(name, function, None, lambda seconds: (max(1, round(turns * seconds)),))
    if name == "digest":
        turns = _turns_a_second(lambda n: workloads.digest("password", n))
        return Kind(
            name, workloads.digest, None, lambda seconds: ("password", max(1, round(turns * seconds)))
        )
    if name == "fetch":
        from producer.http_server import serving

        url = stack.enter_context(serving())
        return Kind(name, workloads.fetch, workloads.fetch_async, lambda seconds: (f"{url}/{seconds:.7f}",))
    own = load_function(name)
    plain, coroutine = (None, own) if is_asynchronous(own) else (own, None)
    return Kind(name, plain, coroutine, lambda seconds: (seconds,))


def _turns_a_second(function: Callable[[int], Any]) -> float:
    """Measure how many turns of a function that is given their number fit into a second here."""
    turns, taken = 1_000, 0.0
    while (taken := _seconds(function, turns)) < _LONG_ENOUGH:
        turns = max(2 * turns, min(100 * turns, int(1.2 * turns * _LONG_ENOUGH / max(taken, 1e-6))))
    return turns / median([taken, *(_seconds(function, turns) for _ in range(4))])


def _seconds(function: Callable[[int], Any], turns: int) -> float:
    begun = time.perf_counter()
    function(turns)
    return time.perf_counter() - begun
