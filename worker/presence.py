"""Presence: a worker tells the broker that it is there, and what it is.

Each second or so the worker's event loop renews a key that expires soon after, so producers can see
who serves a queue, with which key and version, without asking around: a worker that is dead, stuck or
cut off is gone from the list after `EXPIRES` seconds. The same beat touches a file
(BREAKEVEN_HEARTBEAT_FILE) by whose age a container's health can be judged.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import socket
from pathlib import Path
from typing import Any

from celery import bootsteps

from worker import keys

logger = logging.getLogger(__name__)

#: Seconds between two beats, and until a silent worker is taken for gone.
PERIOD = 2.0
EXPIRES = 10

HEARTBEAT_FILE_VARIABLE = "BREAKEVEN_HEARTBEAT_FILE"


class Presence(bootsteps.StartStopStep):
    """A step of Celery's consumer that beats on a timer of its event loop."""

    requires = {"celery.worker.consumer.tasks:Tasks"}  # noqa: RUF012 - Celery reads it so

    def __init__(self, consumer: Any, **_: Any) -> None:  # noqa: ARG002 - Celery passes it
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Begin to beat; called at each (re)connection."""
        from worker.app import KEY, LEASE

        description = json.dumps(
            {
                "name": consumer.hostname,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "processes": consumer.pool.num_processes,
                "python": platform.python_version(),
                "protocol": keys.PROTOCOL,
                "key": KEY.fingerprint(),
                "lease": LEASE,
            }
        )
        self.beat(consumer, description)
        self._timer = consumer.timer.call_repeatedly(PERIOD, self.beat, (consumer, description))

    def stop(self, consumer: Any) -> None:
        """Stop beating: the connection is lost or the worker ends."""
        if self._timer is not None:
            consumer.timer.cancel(self._timer)
            self._timer = None

    def shutdown(self, consumer: Any) -> None:
        """Stop beating, and take the worker off the list."""
        from worker.app import QUEUE

        self.stop(consumer)
        channel = consumer.task_consumer.channel if consumer.task_consumer else None
        if channel is not None:
            try:
                with channel.conn_or_acquire() as redis, redis.pipeline() as pipe:
                    pipe.delete(keys.worker(QUEUE, consumer.hostname))
                    pipe.srem(keys.workers(QUEUE), consumer.hostname)
                    pipe.execute()
            except channel.connection_errors:
                pass  # it expires by itself

    def beat(self, consumer: Any, description: str) -> None:
        """Renew the worker's key, and touch its heartbeat file.

        Args:
            consumer: Celery's consumer.
            description: what the key tells, as JSON.
        """
        from worker.app import QUEUE

        channel = consumer.task_consumer.channel
        try:
            with channel.conn_or_acquire() as redis, redis.pipeline() as pipe:
                pipe.set(keys.worker(QUEUE, consumer.hostname), description, ex=EXPIRES)
                pipe.sadd(keys.workers(QUEUE), consumer.hostname)
                pipe.execute()
        except (*channel.connection_errors, channel.ResponseError) as error:
            logger.warning("can't tell the broker that this worker is there: %s", error)
            return
        heartbeat_file = os.environ.get(HEARTBEAT_FILE_VARIABLE)
        if heartbeat_file:
            Path(heartbeat_file).touch()
