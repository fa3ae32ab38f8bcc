"""The workloads: the functions that the demonstration fans out, with their inputs.

Each function is plain and typed, importable by every worker, and can be called without this project.
"""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary


def sum(n: int, start: int = 1) -> int:  # noqa: A001 - the field's word for it
    """Add up start..n through a generator: CPU work in pure Python, which holds the GIL."""
    return builtins.sum(i for i in range(start, n + 1))


def spin(turns: int) -> int:
    """Go round a loop: CPU work in pure Python whose length can be chosen."""
    total = 0
    for turn in range(turns):
        total += turn
    return total


def digest(password: str, iterations: int) -> str:
    """Derive a key with PBKDF2-HMAC-SHA256: CPU work in C, which releases the GIL."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), b"breakeven", iterations).hex()


def fetch(url: str) -> int:
    """GET `url` and return the length of the body in bytes: waiting for the network.

    Raises:
        OSError: the server could not be reached, or did not answer with success.
    """
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - the run's own server
        return len(response.read())


async def fetch_async(url: str) -> int:
    """Like `fetch`, on an event loop.

    Raises:
        OSError: the server could not be reached.
        tornado.httpclient.HTTPClientError: it did not answer with success.
    """
    # Imported here: only the event loop needs it, and workers start faster without.
    from tornado.httpclient import AsyncHTTPClient

    # One client a loop; its own default of 10 connections at a time would measure the client.
    client = AsyncHTTPClient(max_clients=10_000)
    response = await client.fetch(url, request_timeout=60)
    return len(response.body)


def sleep(seconds: float) -> float:
    """Wait, and do nothing else."""
    time.sleep(seconds)
    return seconds


async def sleep_async(seconds: float) -> float:
    """Wait on the event loop, and do nothing else."""
    await asyncio.sleep(seconds)
    return seconds


_pools: dict[int, threading.BoundedSemaphore] = {}
_async_pools: WeakKeyDictionary[Any, dict[int, asyncio.BoundedSemaphore]] = WeakKeyDictionary()


def query(seconds: float, connections: int) -> float:
    """Hold one of this process's `connections` for a while: what a request does that needs its database.

    So a process runs `connections / seconds` of them in a second and no more, whatever runs them.
    """
    with _pools.setdefault(connections, threading.BoundedSemaphore(connections)):
        time.sleep(seconds)
    return seconds


async def query_async(seconds: float, connections: int) -> float:
    """Like `query`, on an event loop, whose connections are its own."""
    pools = _async_pools.setdefault(asyncio.get_running_loop(), {})
    async with pools.setdefault(connections, asyncio.BoundedSemaphore(connections)):
        await asyncio.sleep(seconds)
    return seconds


def noop(value: int) -> int:
    """Return the argument: all that is left is the model's own overhead."""
    return value


async def noop_async(value: int) -> int:
    """Return the argument, as a coroutine."""
    return value


@dataclass(frozen=True)
class Workload:
    """A function to fan out, and the inputs to call it with.

    Attributes:
        name: what the user calls it.
        summary: one line on what it stands for.
        function: the synchronous variant; None if there is only an async one.
        async_function: the coroutine function for the event loop; None without one.
        inputs: for each call its positional arguments, or its keyword arguments as a dict.
        expected: the result of each input, where it is known; otherwise empty.
        quick_inputs: smaller inputs for `--quick`; empty: the same.
        quick_expected: the result of each quick input, where it is known.
        needs_server: the inputs are delays in seconds, and the run starts an HTTP server whose URL
            for each delay takes their place.
    """

    name: str
    summary: str
    function: Callable[..., Any] | None
    async_function: Callable[..., Any] | None = None
    inputs: Sequence[tuple[Any, ...] | dict[str, Any]] = ()
    expected: Sequence[Any] = ()
    quick_inputs: Sequence[tuple[Any, ...] | dict[str, Any]] = ()
    quick_expected: Sequence[Any] = ()
    needs_server: bool = field(default=False)


def _gauss(n: int) -> int:
    return n * (n + 1) // 2


_SUMS = (100_000, 1_000_000, 10_000_000, 100_000_000)
_QUICK_SUMS = (10_000, 100_000, 1_000_000, 10_000_000)
_NOOPS = 2_000

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(
            "sum",
            "the sum of 1..n through a generator: pure-Python CPU work of very uneven length",
            sum,
            inputs=[(n,) for n in _SUMS],
            expected=[_gauss(n) for n in _SUMS],
            quick_inputs=[(n,) for n in _QUICK_SUMS],
            quick_expected=[_gauss(n) for n in _QUICK_SUMS],
        ),
        Workload(
            "digest",
            "PBKDF2 in C: CPU work that releases the GIL",
            digest,
            inputs=[(f"password-{i}", 200_000) for i in range(16)],
            quick_inputs=[(f"password-{i}", 20_000) for i in range(16)],
        ),
        Workload(
            "fetch",
            "HTTP GETs of a server that answers after 0.1 s: waiting for the network",
            fetch,
            fetch_async,
            inputs=[(0.1,)] * 40,
            quick_inputs=[(0.02,)] * 40,
            needs_server=True,
        ),
        Workload(
            "sleep",
            "waiting, and nothing else",
            sleep,
            sleep_async,
            inputs=[(0.1,)] * 40,
            expected=[0.1] * 40,
            quick_inputs=[(0.02,)] * 40,
            quick_expected=[0.02] * 40,
        ),
        Workload(
            "noop",
            "nothing at all: what is left is the model's own overhead",
            noop,
            noop_async,
            inputs=[(i,) for i in range(_NOOPS)],
            expected=list(range(_NOOPS)),
        ),
    )
}
