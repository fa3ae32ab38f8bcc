"""Waiting for what can be seen, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import psutil

BOUND = 30


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` holds; fail after BOUND seconds."""
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, f"waited {BOUND} s for {what}"
        time.sleep(0.02)


def gone(processes: Iterable[psutil.Process]) -> bool:
    """Whether none of the processes runs any more. One that nobody asked for yet (a zombie) does not."""
    return not any(map(_runs, processes))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
