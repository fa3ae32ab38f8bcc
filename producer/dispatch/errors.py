"""What can go wrong with a cluster as a whole, and with a call on it."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor

from producer.broker import BrokerUnavailableError
from worker.wire import CallError, TooLargeError

__all__ = [
    "BrokerUnavailableError",
    "CallError",
    "CallLostError",
    "KeyMismatchError",
    "NoWorkersError",
    "ShutDownError",
    "TooLargeError",
    "VersionMismatchError",
]


class NoWorkersError(BrokenExecutor):
    """No worker serves the queue."""


class KeyMismatchError(BrokenExecutor):
    """A worker has another signing key: it would refuse what this producer sends."""


class VersionMismatchError(BrokenExecutor):
    """A worker speaks another version of the wire format."""


class ShutDownError(BrokenExecutor):
    """The executor was ended while the call was running; what became of it is not known."""


class CallLostError(CallError):
    """A call ended the process that ran it, again and again: a crash, `os._exit`, or out of memory."""
