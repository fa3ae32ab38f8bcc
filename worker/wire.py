"""How calls and outcomes are packed into messages.

A batch goes out as `run_calls(batch_id, functions, calls, slice)` and comes back as a `Reply`. Each
function, each call's arguments and each outcome is pickled by itself and carried as bytes, so that

- one object that can't be pickled or unpickled spoils nobody else's call,
- the worker's parent process, which only passes messages on, never unpickles what a user sent.

Plain `pickle` does the work where it can, being many times faster than `cloudpickle`; what it can't
take, or what lives in a `__main__` that the other side does not have, goes by value.
"""

from __future__ import annotations

import base64
import importlib
import json
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from worker.signing import CONTENT_TYPE

#: The name of the one task.
TASK = "run_calls"

#: A function in a message: `("module:qualname",)` by reference, or by value `(its name, the sender's
#: Python version if the pickle depends on it, its pickle)`.
PackedFunction = tuple[str] | tuple[str, tuple[int, int] | None, bytes]

#: A call in a message: the index of its function, and the pickle of (args, kwargs).
PackedCall = tuple[int, bytes]

#: An outcome in a reply: `(RETURNED, pickled value)`, `(RAISED, pickled error, text of its traceback)`,
#: `(LOST, cause)` or `(CANCELLED,)`.
PackedOutcome = tuple[Any, ...]

RETURNED, RAISED, LOST, CANCELLED = range(4)
#: Characters of an error that a reply shows.
_REASON = 120
_WORDS = ("returned", "raised", "lost", "cancelled")

_PYTHON = sys.version_info[:2]

#: Bytes of pickled arguments, or of a pickled result: Redis takes strings of up to 512 MB, and in a message
#: they are a third longer.
LARGEST = 380_000_000
#: What the user's script is called: where it runs, and in processes that multiprocessing has spawned.
_SCRIPT = ("__main__", "__mp_main__")


class CallError(Exception):
    """A call could not be run as it was sent, or its result could not be sent back."""


class TooLargeError(CallError):
    """Arguments or a result are more than a message can carry."""


class RemoteTraceback(Exception):  # noqa: N818 - as in concurrent.futures: not an error, but where one was
    """The cause of an error that a worker sent: its traceback there, as text."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


@dataclass(slots=True)
class Reply:
    """What `run_calls` returns.

    Attributes:
        batch_id: the batch that it answers.
        worker: where it ran.
        outcomes: of the first calls of the batch, in order. Calls beyond them were handed back, not run.
        busy: for each of the batch's functions the number of its calls that ran, and their seconds.
        deliveries: how often the batch was begun: 1, or more after a worker's loss.
        suspect: a process died under the batch, so none of its calls was run in company again.
        running: in a reply that comes early, the index of the call that still runs: its outcome comes with
            the last reply, and the calls after it were handed back. None in the last reply.
    """

    batch_id: str
    worker: str
    outcomes: list[PackedOutcome]
    busy: list[tuple[int, float]]
    deliveries: int = 1
    suspect: bool = False
    running: int | None = None

    def __repr__(self) -> str:
        """Tell how many calls ended how, and the first reason: what Flower shows as the task's result."""
        if self.suspect:
            return "taken apart: a process died under this batch"
        statuses = [outcome[0] for outcome in self.outcomes]
        text = ", ".join(
            f"{statuses.count(status)} {word}" for status, word in enumerate(_WORDS) if status in statuses
        )
        # The last line of a traceback is the error; of a lost call the last element is the cause.
        reasons = [
            outcome[-1].strip().rpartition("\n")[2]
            for outcome in self.outcomes
            if outcome[0] in (RAISED, LOST)
        ]
        if any(reasons):
            text += f" ({reasons[0][:_REASON]})"
        return text if self.deliveries == 1 else f"{text}, begun {self.deliveries} times"


def envelope(
    batch_id: str,
    body: bytes,
    *,
    tag: str,
    queue: str,
    description: str,
    limits: Sequence[float | None],
    origin: str,
) -> bytes:
    """Return the message that carries a signed body to a worker, as Kombu's Redis transport stores it.

    It is Celery's message protocol 2 in Kombu's envelope for virtual transports. Made here and pushed with
    one command because Celery's own way of sending takes 0.5 ms longer.
    https://docs.celeryq.dev/en/stable/internals/protocol.html

    Args:
        batch_id: the message's id.
        body: signed.
        tag: what tells this copy of the message from others.
        queue: where it goes.
        description: what Flower shows as its arguments.
        limits: hard and soft time limit, in seconds; None for none.
        origin: who sends it.
    """
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "binary",
        "content-type": CONTENT_TYPE,
        "headers": headers(batch_id, limits, description, origin),
        "properties": {
            "correlation_id": batch_id,
            "body_encoding": "base64",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "delivery_tag": tag,
        },
    }
    return json.dumps(message).encode()


def headers(batch_id: str, limits: Sequence[float | None], description: str, origin: str) -> dict[str, Any]:
    """Return the headers of a message; the arguments are those of `envelope`."""
    return {
        "lang": "py",
        "task": TASK,
        "id": batch_id,
        "root_id": batch_id,
        "parent_id": None,
        "group": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": limits,
        "argsrepr": description,
        "kwargsrepr": "{}",
        "origin": origin,
        "ignore_result": False,
    }


def dumps(value: object) -> bytes:
    """Pickle `value`, by reference where the other side can follow it, else by value.

    Raises:
        Exception: whatever its pickling raises.
        TooLargeError: no message can carry it.
    """
    data = _plain(value) or _by_value(value)
    if len(data) > LARGEST:
        raise TooLargeError(
            f"{len(data) / 1e6:,.0f} MB pickled is more than a message can carry ({LARGEST / 1e6:,.0f} MB): "
            "pass the name of a file, or where else it can be had"
        )
    return data


def _plain(value: object) -> bytes | None:
    try:
        data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        return None
    # What names something of this script goes by value: each process has its own __main__.
    return None if any(name.encode() in data for name in _SCRIPT) else data


def _by_value(value: object) -> bytes:
    # In a process that multiprocessing has spawned, the script goes by another name, which cloudpickle has to
    # be told.
    spawned = sys.modules.get("__mp_main__")
    if spawned is not None and spawned.__name__ == "__mp_main__":
        cloudpickle.register_pickle_by_value(spawned)
    data: bytes = cloudpickle.dumps(value)
    return data


def pack_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    """Pickle the arguments of a call.

    Raises:
        Exception: whatever their pickling raises.
    """
    return dumps((args, kwargs))


def pack_function(function: Callable[..., Any]) -> PackedFunction:
    """Pack a function: by reference if a worker can import it, else by value.

    Raises:
        Exception: whatever its pickling raises.
    """
    reference = reference_to(function)
    if reference is not None:
        return (reference,)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    plain = _plain(function)
    return (name, None, plain) if plain is not None else (name, _PYTHON, _by_value(function))


def reference_to(function: Callable[..., Any]) -> str | None:
    """Return `module:qualname` if that leads to `function` and another process could follow it."""
    module_name = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not module_name or not qualname or module_name in _SCRIPT or "<" in qualname:
        return None
    found: Any = sys.modules.get(module_name)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return f"{module_name}:{qualname}" if found is function else None


def unpack_function(packed: PackedFunction) -> Callable[..., Any]:
    """Return the function that `pack_function` packed.

    Raises:
        CallError: this process can't have it; the message says why and what to do.
    """
    if len(packed) == 1:
        return _import_function(packed[0])
    name, python, data = packed
    if python is not None and python != _PYTHON:
        sender, here = (".".join(map(str, version)) for version in (python, _PYTHON))
        raise CallError(
            f"{name} was sent by value from Python {sender}, and this worker runs Python {here}: "
            "put it in a module that both can import, or use the same Python version"
        )
    try:
        return pickle.loads(data)  # type: ignore[no-any-return]
    except Exception as error:
        raise CallError(
            f"this worker can't load {name}: {_line(error)}; give the workers the same code and libraries"
        ) from error


def _import_function(reference: str) -> Callable[..., Any]:
    module_name, _, qualname = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for name in qualname.split("."):
            found = getattr(found, name)
    except Exception as error:
        raise CallError(
            f"this worker can't import {reference}: {_line(error)}; "
            "give the workers the same code (for example on their PYTHONPATH) and restart them"
        ) from error
    return found  # type: ignore[no-any-return]


def pack_error(error: BaseException) -> bytes:
    """Pickle an exception such that it can be read again; what can't becomes a CallError that says so."""
    try:
        data = dumps(error)
        # Some exceptions pickle well and fail only here, or turn into something else.
        if isinstance(pickle.loads(data), BaseException):
            return data
        raise TypeError("what is unpickled is no exception")  # noqa: TRY301
    except BaseException as problem:
        return dumps(
            CallError(f"{type(error).__qualname__}: {text_of(error)} (can't be pickled: {_line(problem)})")
        )


def text_of(error: BaseException) -> str:
    """Return an exception's message, also where it raises one itself."""
    try:
        return str(error)
    except BaseException:
        return "<its message can't be had>"


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {text_of(error)}".splitlines()[0]
