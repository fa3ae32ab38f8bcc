"""Values, errors and functions that are hard on whoever carries them."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any


class LockedError(Exception):
    """Can't be pickled."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class TwoPartsError(Exception):
    """Can be pickled, and not unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class MuteError(Exception):
    """Has no message, not even an empty one."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class FrozenError(Exception):
    """Lets nobody set an attribute, `__cause__` included."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def leave(message: str) -> None:
    raise SystemExit(message)


class Loaded:
    """Is fine until it is unpickled."""

    def __reduce__(self) -> Any:
        return leave, ("unpickled",)


class Unpicklable:
    """Ends its pickling in `SystemExit`."""

    def __reduce__(self) -> Any:
        sys.exit("pickled")


def throw(kind: str) -> None:
    if kind == "locked":
        raise LockedError
    if kind == "two-parts":
        raise TwoPartsError("this", "that")
    if kind == "mute":
        raise MuteError(threading.Lock())
    if kind == "frozen":
        raise FrozenError(7)
    if kind == "exit":
        sys.exit(3)
    raise KeyboardInterrupt


def give(kind: str) -> Any:
    return {"lock": threading.Lock, "exits-here": Unpicklable, "exits-there": Loaded, "lambda": lambda: len}[
        kind
    ]()


def accept(value: object) -> str:
    return type(value).__name__


def size(data: bytes) -> bytes:
    return data


async def coroutine() -> int:
    await asyncio.sleep(0)
    return 1


def spin() -> None:
    while True:
        pass


def stubborn() -> None:
    """Takes no hint."""
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: S112 - that is what it is for
            continue


def tidy(trace: str) -> None:
    """Leaves something in order when it is stopped."""
    try:
        time.sleep(60)
    finally:
        Path(trace).touch()
