"""Call and Outcome: what goes to a worker, and what comes back.

`run` turns one into the other. It is the same few lines on every concurrency model — in the caller's
own thread, in a pool's process, on an event loop, in a Celery worker — so what it measures can be
compared between them.
"""

from __future__ import annotations

import os
import reprlib
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType
from typing import Any

#: The one clock of all traces: seconds since the epoch. Unlike a monotonic clock it can be compared
#: between processes and, as far as the machines' clocks agree, between machines.
clock = time.time

_short = reprlib.Repr()  # set like this because its keyword arguments only came with Python 3.12
_short.maxstring = _short.maxother = _short.maxlong = 40
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 4
#: What the machine, or the container, calls itself.
HOST = socket.gethostname()


@dataclass(frozen=True, slots=True)
class Call:
    """A function and the arguments to call it with."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Like source text: `sum(100000)`; long arguments are shortened."""
        return describe(self.function, self.args, self.kwargs)


@dataclass(slots=True)  # not frozen: that would take a microsecond longer to make, in each call
class Outcome:
    """How a call ended: its value or its error, when it ran, and where.

    Attributes:
        value: what the function returned; None if it raised.
        error: what it raised; None if it returned.
        traceback: the text of the error's traceback where it happened; empty without an error.
        started: when the function was entered, in seconds of `clock`.
        finished: when it was left, in seconds of `clock`.
        worker: the host, process and thread that ran it.
    """

    value: Any = None
    error: BaseException | None = None
    traceback: str = ""
    started: float = 0.0
    finished: float = 0.0
    worker: str = ""


_NO_KWARGS: Mapping[str, Any] = MappingProxyType({})


def describe(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] = _NO_KWARGS
) -> str:
    """Return a call as a person would write it, short enough for a log line.

    Args:
        function: what is called; a call of `run` reads as the call that it carries.
        args: its positional arguments.
        kwargs: its keyword arguments.
    """
    if carries(function) and args and isinstance(args[0], Call):
        return str(args[0])
    words = [_shortened(arg) for arg in args]
    words += [f"{key}={_shortened(value)}" for key, value in kwargs.items()]
    return f"{name_of(function, args)}({', '.join(words)})"


def name_of(function: Callable[..., Any], args: tuple[Any, ...] = ()) -> str:
    """Return a function's name, for people; that of a call of `run` is that of the call that it carries."""
    if carries(function) and args and isinstance(args[0], Call):
        function = args[0].function
    name: str = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name.rpartition(".")[2]


def run(call: Call) -> Outcome:
    """Run `call` here and now, and tell how it ended. What it raises is in the outcome, not raised.

    So is the `SystemExit` of a function that calls `sys.exit`: it ends the call, not whatever thread, loop or
    process happens to run it. Only `KeyboardInterrupt` and its like pass through.
    """
    started = clock()
    try:
        value = call.function(*call.args, **call.kwargs)
    except (Exception, SystemExit) as error:
        return _failed(error, started)
    return Outcome(value, None, "", started, clock(), here())


async def run_async(call: Call) -> Outcome:
    """Await `call`, whose function is a coroutine function; otherwise like `run`."""
    started = clock()
    try:
        value = await call.function(*call.args, **call.kwargs)
    except (Exception, SystemExit) as error:
        return _failed(error, started)
    return Outcome(value, None, "", started, clock(), here())


def carries(function: Callable[..., Any]) -> bool:
    """Tell whether a function is one of those above, whose argument is what a reader wants to know of."""
    return function is run or function is run_async


def run_chunk(function: Callable[..., Any], chunk: list[tuple[Any, ...]]) -> list[Any]:
    """Call `function` with each of the argument tuples, one after another: `map` with a chunk size."""
    return [function(*args) for args in chunk]


class _Place(threading.local):
    """The name of each thread that asks, made once: asking the system in each call costs a microsecond."""

    def __init__(self) -> None:
        thread = threading.current_thread()
        name = thread.name
        if isinstance(thread, threading._DummyThread):  # noqa: SLF001 - that is how strangers are told
            # Not started by this interpreter, which then names it anew with each call, as others do likewise.
            name = f"thread-{threading.get_native_id()}"
        self.name = f"{HOST}/{os.getpid()}/{name}"


_place = _Place()


def _forget_names() -> None:
    """A forked process is another one than its parent: it has no names yet."""
    global _place
    _place = _Place()


os.register_at_fork(after_in_child=_forget_names)


def here() -> str:
    """Name the host, process and thread that this runs on, e.g. `host/4711/MainThread`.

    A thread that is renamed keeps the name that it had when it asked first.
    """
    return _place.name


def host_of(worker: str) -> str:
    """Return the host's part of a worker's name."""
    return worker.partition("/")[0]


def _failed(error: BaseException, started: float) -> Outcome:
    return Outcome(None, error, traceback.format_exc(), started, clock(), here())


def _shortened(value: object) -> str:
    if isinstance(value, FunctionType):
        return name_of(value)
    try:
        return _short.repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a repr that raises must not fail the call that it describes
        return f"<{type(value).__qualname__}>"
