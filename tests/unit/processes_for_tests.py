"""Waits for processes of other processes to end."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

BOUND = 20  # seconds that nothing here comes near


def left(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run after a bounded wait.

    One that has ended counts as gone also while it waits for its adopted parent to take note of it.
    """
    end = time.monotonic() + BOUND
    running = list(processes)
    while (running := [process for process in running if runs(process)]) and time.monotonic() < end:
        time.sleep(0.005)
    return running


def runs(process: psutil.Process) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
