"""Where the user sits: the `producer` command, and `CeleryExecutor` for use in one's own programs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.models.broker_queue import CeleryExecutor

__all__ = ["CeleryExecutor"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: `producer --help` and the worker's processes need no Redis client.
    if name == "CeleryExecutor":
        from producer.models.broker_queue import CeleryExecutor

        return CeleryExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
