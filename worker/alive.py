"""A call that can be watched from outside: while it runs it leaves signs of life in a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

from worker.call import clock

#: Seconds between two signs of life.
PERIOD = 0.05
#: The last line of a call that came to its end.
END = "end"


def alive(path: str, seconds: float) -> float:
    """Wait so long, and leave signs of life in the file `path` until the end."""
    end = clock() + seconds
    while (left := end - clock()) > 0:
        _sign(path, repr(clock()))
        time.sleep(min(PERIOD, left))
    _sign(path, END)
    return seconds


async def alive_async(path: str, seconds: float) -> float:
    """Like `alive`, on an event loop."""
    end = clock() + seconds
    while (left := end - clock()) > 0:
        _sign(path, repr(clock()))
        await asyncio.sleep(min(PERIOD, left))
    _sign(path, END)
    return seconds


def _sign(path: str, line: str) -> None:
    # Where the directory is on another machine nobody is there to look: the call goes on without signs.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)


def signs(path: str) -> tuple[list[float], bool]:
    """Return when a call left its signs of life, in seconds of `clock`, and whether it came to its end."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - as short as the worker's side
            lines = file.read().split()
    except FileNotFoundError:
        return [], False
    return [float(line) for line in lines if line != END], END in lines
