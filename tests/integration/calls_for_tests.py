"""Functions that the tests send to workers: in a module of their own, which every worker can import."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from worker.call import here


def double(value: int) -> int:
    return 2 * value


def fail(message: str) -> None:
    raise LookupError(message)


def fail_once(marker: str) -> str:
    """Fail in the first call that comes here; return the marker in all others."""
    if not Path(marker).exists():
        Path(marker).touch()
        raise LookupError("not yet")
    return marker


def where(seconds: float) -> str:
    """Name the worker that this runs on, after `seconds` during which it is on no other call."""
    time.sleep(seconds)
    return here()


def hold(gate: str, bound: float = 20.0) -> str:
    """Keep a worker busy until the file `gate` is there."""
    end = time.monotonic() + bound
    while not Path(gate).exists() and time.monotonic() < end:
        time.sleep(0.005)
    return here()


def given(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def unpicklable() -> Any:
    return lambda: None


async def double_async(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


async def fail_async(message: str) -> None:
    await asyncio.sleep(0)
    raise LookupError(message)


async def where_async(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return here()


async def hold_async(gate: str, bound: float = 20.0) -> str:
    end = time.monotonic() + bound
    while not Path(gate).exists() and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return here()


async def given_async(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def touch(path: str) -> str:
    """Leave a trace of having run."""
    Path(path).touch()
    return path


def append(path: str, text: str) -> None:
    """Leave a trace of each run."""
    with Path(path).open("a") as file:
        file.write(text)


def die_once(marker: str, value: int) -> int:
    """End the process of the first call that comes here; return the value in all others."""
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(1)
    return value


def backend() -> str:
    """Name the class that stores this worker's replies."""
    from celery import current_app

    kind = type(current_app.backend)
    return f"{kind.__module__}:{kind.__qualname__}"
