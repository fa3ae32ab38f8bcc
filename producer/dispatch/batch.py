"""Batches: the calls that travel in one message."""

from __future__ import annotations

import math
from typing import Any

from producer.dispatch.future import CallFuture
from worker import wire
from worker.call import describe


class Batch:
    """Calls that travel in one message.

    Attributes:
        id: of the message.
        futures: of its calls, in order.
        names: of its functions, in the order of the reply's `busy`.
        body: of the message, signed.
        description: what Flower shows of it.
        slice: seconds after which its worker hands back the calls that have not begun.
        copy: how often it was sent again.
        sent: when, on the monotonic clock; infinite before.
        started: when a worker began it; None before.
        kept: how many of its calls it still has: the others were handed back.
        queue_passed: since when it is known not to wait in the broker's queue, without having been begun.
    """

    __slots__ = (
        "body",
        "copy",
        "description",
        "futures",
        "id",
        "kept",
        "names",
        "queue_passed",
        "sent",
        "slice",
        "started",
    )

    def __init__(self, batch_id: str, futures: list[CallFuture], names: list[str]) -> None:
        self.id = batch_id
        self.futures = futures
        self.names = names
        self.body = b""
        self.description = ""
        self.slice = 0.0
        self.copy = 0
        self.sent = math.inf
        self.started: float | None = None
        self.kept = len(futures)
        self.queue_passed: float | None = None


class Cargo:
    """What a batch is made of, while it is being made."""

    def __init__(self) -> None:
        self.futures: list[CallFuture] = []
        self.functions: list[wire.PackedFunction] = []
        self.calls: list[wire.PackedCall] = []
        self.seconds = 0.0
        self.size = 0
        self._packed: dict[int, tuple[Any, wire.PackedFunction]] = {}  # with the function, to keep its id
        self._places: dict[wire.PackedFunction, int] = {}
        self._names: list[str] = []  # of the functions, for people
        self._text = ""  # of the first call, for people

    def pack(self, future: CallFuture) -> str:
        """Put a call into the form that travels, unless it is; return its function's name.

        Raises:
            Exception: what its pickling raises.
        """
        if isinstance(future.arguments, bytes):
            self._name = self._text = str(future.function[0])
            return self._name
        function, (args, kwargs) = future.function, future.arguments
        known = self._packed.get(id(function))
        if known is None:
            known = self._packed[id(function)] = (function, wire.pack_function(function))
        future.arguments = wire.pack_arguments(args, kwargs)
        future.function = known[1]
        if not self.futures:
            self._text = describe(function, args, kwargs)
        self._name = self._text.partition("(")[0] if not self.futures else known[1][0]
        return str(known[1][0])

    def load(self, future: CallFuture, seconds: float) -> None:
        """Add a call that was packed."""
        packed = future.function
        place = self._places.get(packed)
        if place is None:
            place = self._places[packed] = len(self.functions)
            self.functions.append(packed)
            self._names.append(self._name)
        self.futures.append(future)
        self.calls.append((place, future.arguments))
        self.seconds += seconds
        self.size += len(future.arguments)

    def unload_withdrawn(self) -> None:
        """Take out what was cancelled while it was being packed."""
        if any(future.withdrawn for future in self.futures):
            kept = [n for n, future in enumerate(self.futures) if not future.withdrawn]
            self.futures = [self.futures[n] for n in kept]
            self.calls = [self.calls[n] for n in kept]

    def description(self) -> str:
        """Return what Flower shows: `sum(100000)`, or `64 × noop`."""
        if len(self.calls) == 1:
            return self._text
        counts = [0] * len(self.functions)
        for place, _ in self.calls:
            counts[place] += 1
        names = (name.rpartition(":")[2].rpartition(".")[2] for name in self._names)
        return ", ".join(f"{count} × {name}" for count, name in zip(counts, names, strict=True))
