"""Deaths: a worker notices at once that one of its processes died.

Celery is told by a pipe that closes with the process, and asks the system for the exit code. That may be a
moment too early, and then it asks again when its pool is looked after, each 5 s: so long the call that ran
there stays with nobody, and a call that kills its process three times takes a quarter of a minute.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps

#: Seconds between two looks.
PERIOD = 0.5


class Deaths(bootsteps.StartStopStep):
    """A step of Celery's consumer that looks after the pool on a timer of its event loop."""

    requires = {"celery.worker.consumer.tasks:Tasks"}  # noqa: RUF012 - Celery reads it so

    def __init__(self, consumer: Any, **_: Any) -> None:  # noqa: ARG002 - Celery passes it
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin to look; called at each (re)connection."""
        look = getattr(consumer.pool, "maintain_pool", None)  # pools of threads have none
        if look is not None:
            self._timer = consumer.timer.call_repeatedly(PERIOD, look)

    def stop(self, consumer: Any) -> None:
        """Stop looking: the connection is lost or the worker ends."""
        if self._timer is not None:
            consumer.timer.cancel(self._timer)
            self._timer = None

    shutdown = stop
