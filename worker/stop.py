"""Stop: a worker that is told to end (SIGTERM) lets its calls end, for a while, and gives the rest back.

Celery's own soft shutdown sleeps in the signal handler, for all of the grace time: no lease is renewed
meanwhile, nothing is acknowledged, and a message that the broker hands over in that time is lost with the
connection. Here the event loop goes on. The worker asks for no more, what still comes goes back to the queue
at once, and it ends as soon as its calls have; what runs beyond the grace time goes to another worker.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import bootsteps, platforms
from celery.worker import state

logger = logging.getLogger(__name__)

#: Seconds between two looks whether the worker was told to end, and whether its calls have ended.
LOOK = 0.2


class Stop(bootsteps.StartStopStep):
    """A step of Celery's consumer that ends the worker from its event loop."""

    requires = {"celery.worker.consumer.tasks:Tasks"}  # noqa: RUF012 - Celery reads it so

    def __init__(self, consumer: Any, **_: Any) -> None:  # noqa: ARG002 - Celery passes it
        self._timer: Any = None
        self._told: float | None = None  # when it was told to end
        self._begun = False

    def start(self, consumer: Any) -> None:
        """Begin to look; called at each (re)connection."""

        def told(*_: object) -> None:
            if consumer.connection is None:  # nothing is in our hands, and no loop runs that could look
                state.should_stop = platforms.EX_OK
            self._told = self._told or time.monotonic()

        platforms.signals["SIGTERM"] = told
        self._timer = consumer.timer.call_repeatedly(LOOK, self.look, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Stop looking: the connection is lost or the worker ends."""
        if self._timer is not None:
            consumer.timer.cancel(self._timer)
            self._timer = None
        if self._told is not None:  # it does not reconnect for the rest of the grace time
            state.should_stop = platforms.EX_OK

    shutdown = stop

    def look(self, consumer: Any) -> None:
        """End the worker if it was told to, and when it can.

        Args:
            consumer: Celery's consumer.
        """
        if self._told is None:
            return
        grace = consumer.app.conf.worker_soft_shutdown_timeout
        if not self._begun:
            self._begun = True
            logger.warning("told to end: %d call(s) have %g s", len(state.active_requests), grace)
            consumer.task_consumer.cancel()
            _unblock(consumer.task_consumer.channel)
        elif not state.reserved_requests and not consumer.task_consumer.channel._in_poll:  # noqa: SLF001
            state.should_stop = platforms.EX_OK
        elif time.monotonic() - self._told > grace:
            consumer.cancel_active_requests()  # their messages go back when the channel closes
            state.should_terminate = platforms.EX_OK


def _unblock(channel: Any) -> None:
    """Have the broker answer the BRPOP that still waits there; by itself it does so within a second."""
    waiting = channel._in_poll  # noqa: SLF001 - Kombu has no public name for it
    if not waiting:
        return
    try:
        address = ":".join(map(str, waiting._sock.getsockname()[:2]))  # noqa: SLF001
        with channel.conn_or_acquire() as redis:
            for client in redis.client_list():
                if client["addr"] == address:
                    redis.client_unblock(client["id"])
    except (*channel.connection_errors, channel.ResponseError) as error:  # lost, or not allowed
        logger.debug("can't unblock: %s", error)
