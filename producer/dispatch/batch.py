"""Batches: the calls that travel in one message."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from producer.dispatch.future import CallFuture
from worker import wire
from worker.call import carries, describe, name_of


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
        resolved: how many of its calls, from the first on, have their outcome.
        missed: since when it is known to be neither in the broker's queue nor in a worker's hands.
    """

    __slots__ = (
        "body",
        "copy",
        "description",
        "futures",
        "id",
        "kept",
        "missed",
        "names",
        "resolved",
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
        self.resolved = 0
        self.missed: float | None = None


class Cargo:
    """What a batch is made of, while it is being made."""

    def __init__(self) -> None:
        self.futures: list[CallFuture] = []
        self.functions: list[wire.PackedFunction] = []
        self.calls: list[wire.PackedCall] = []
        self.seconds = 0.0
        self.size = 0
        # By id: the function, to keep its id, its packed form, and its name for people.
        self._packed: dict[int, tuple[Any, wire.PackedFunction, str]] = {}
        self._places: dict[wire.PackedFunction, int] = {}
        self._text = ""  # of the first call, for people

    def pack(self, future: CallFuture) -> str:
        """Put a call into the form that travels, unless it is; return its function's reference or name.

        Raises:
            Exception: what its pickling raises.
        """
        if future.packed is None:
            args, kwargs = future.arguments
            function = future.function
            known = self._packed.get(id(function))
            if known is None:
                packed = wire.pack_function(function)
                known = self._packed[id(function)] = (
                    function,
                    packed,
                    "" if carries(function) else name_of(function),
                )
            future.packed = (known[1], wire.pack_arguments(args, kwargs))
            future.name = known[2] or name_of(function, args)
        return future.packed[0][0]

    def load(self, future: CallFuture, seconds: float) -> None:
        """Add a call that was packed, and let go of what it was packed from."""
        assert future.packed is not None  # noqa: S101 - for the type checker
        function, arguments = future.packed
        if not self.futures and future.arguments is not None:
            self._text = describe(future.function, *future.arguments)
        future.function = future.arguments = None
        place = self._places.get(function)
        if place is None:
            place = self._places[function] = len(self.functions)
            self.functions.append(function)
        self.futures.append(future)
        self.calls.append((place, arguments))
        self.seconds += seconds
        self.size += len(arguments)

    def unload_withdrawn(self) -> None:
        """Take out what was cancelled while it was being packed."""
        if any(future.withdrawn for future in self.futures):
            kept = [n for n, future in enumerate(self.futures) if not future.withdrawn]
            self.futures = [self.futures[n] for n in kept]
            self.calls = [self.calls[n] for n in kept]

    def description(self) -> str:
        """Return what Flower shows: `sum(100000)`, or `64 × noop`."""
        if len(self.calls) == 1:
            return self._text or self.futures[0].name
        counts = Counter(future.name for future in self.futures)
        return ", ".join(f"{count} × {name}" for name, count in counts.items())
