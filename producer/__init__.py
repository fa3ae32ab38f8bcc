"""Where the user sits: the `producer` command, and `CeleryExecutor` for use in one's own programs."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.cluster import ClusterError
    from producer.dispatch.errors import (
        BrokerUnavailableError,
        CallError,
        CallLostError,
        KeyMismatchError,
        NoWorkersError,
        ShutDownError,
        TooLargeError,
        VersionMismatchError,
    )
    from producer.models.broker_queue import CeleryExecutor
    from worker.signing import KeyFileError

__all__ = [
    "BrokerUnavailableError",
    "CallError",
    "CallLostError",
    "CeleryExecutor",
    "ClusterError",
    "KeyFileError",
    "KeyMismatchError",
    "NoWorkersError",
    "ShutDownError",
    "TooLargeError",
    "VersionMismatchError",
]

#: Where those are defined that are not among the errors of `producer.dispatch`.
_HOMES = {
    "CeleryExecutor": "producer.models.broker_queue",
    "ClusterError": "producer.cluster",
    "KeyFileError": "worker.signing",
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: `producer --help` and the worker's processes need no Redis client.
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "producer.dispatch.errors")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
