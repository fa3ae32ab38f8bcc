"""Functions that the fault tests send to workers: each leaves a line in a file when it begins.

So the tests can count how often a call ran, and know in which process it is running now.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

BOUND = 60.0


def note(log: str, name: object) -> int:
    """Append a line to `log`, and return how many lines of this name there are now."""
    line = f"{name} {os.getpid()} {time.time()}\n".encode()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # in one piece: other processes append to the same file
    finally:
        os.close(descriptor)
    return sum(text.split()[0] == str(name) for text in Path(log).read_text().splitlines())


def step(log: str, name: object) -> object:
    note(log, name)
    return name


def nap(log: str, name: object, seconds: float) -> object:
    note(log, name)
    time.sleep(seconds)
    return name


def hold(log: str, name: object, gate: str) -> object:
    """Run until the file `gate` is there."""
    note(log, name)
    end = time.monotonic() + BOUND
    while not Path(gate).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return name


def hold_at_first(log: str, name: object, gate: str) -> int:
    """Like `hold`, but further runs return at once; return which run this was."""
    run = note(log, name)
    if run == 1:
        hold(f"{log}.held", name, gate)
    return run


def die(log: str, name: object, how: str) -> None:
    """End this process as calls do that should not."""
    note(log, name)
    match how:
        case "exit":
            os._exit(7)
        case "segfault":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), signal.SIGSEGV)
        case "memory":  # what the kernel does when memory is out
            os.kill(os.getpid(), signal.SIGKILL)
