"""The lease: a message belongs to its worker while the worker lives, and no longer.

Kombu's Redis transport gives an unacknowledged message to another worker when it is older than the
visibility timeout, whether or not its worker still works on it. That is too early for a long call
(celery issues 3430 and 5935: it runs twice) and too late after a crash (an hour by default).

So the timeout here is short, and every living worker renews what it holds: each `LEASE / 5` it sets
the delivery times of its own unacknowledged messages to now. A worker that is killed stops doing so,
and its messages are free after one lease. A message that was settled meanwhile is left alone (ZADD
with XX), so a renewal can't bring one back.

Limits: a worker that lives but can't reach the broker for a lease loses its messages to others, and
the same call may run twice; its future takes the first outcome. The same holds if its event loop is
kept from running for that long.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import bootsteps

logger = logging.getLogger(__name__)

#: Renewals per lease: four may fail or come late before the lease is lost.
RENEWALS = 5


class Lease(bootsteps.StartStopStep):
    """A step of Celery's consumer that renews the worker's leases on a timer of its event loop."""

    requires = {"celery.worker.consumer.tasks:Tasks"}  # noqa: RUF012 - Celery reads it so

    def __init__(self, consumer: Any, **_: Any) -> None:  # noqa: ARG002 - Celery passes it
        self._timer: Any = None
        self._renewed = time.monotonic()

    def start(self, consumer: Any) -> None:
        """Begin to renew; called at each (re)connection."""
        lease = consumer.app.conf.broker_transport_options["visibility_timeout"]
        self._renewed = time.monotonic()
        self._timer = consumer.timer.call_repeatedly(lease / RENEWALS, self.renew, (consumer, lease))

    def stop(self, consumer: Any) -> None:
        """Stop renewing: the connection is lost or the worker ends."""
        if self._timer is not None:
            consumer.timer.cancel(self._timer)
            self._timer = None

    shutdown = stop

    def renew(self, consumer: Any, lease: float) -> None:
        """Set the delivery time of every message that this worker holds to now.

        Args:
            consumer: Celery's consumer.
            lease: its length in seconds.
        """
        channel = consumer.task_consumer.channel
        tags = list(channel.qos._delivered)  # noqa: SLF001 - Kombu has no public name for it
        if not tags:
            self._renewed = time.monotonic()
            return
        try:
            with channel.conn_or_acquire() as redis:
                redis.zadd(channel.unacked_index_key, dict.fromkeys(tags, time.time()), xx=True)
        except (*channel.connection_errors, channel.ResponseError) as error:  # or its memory is full
            late = time.monotonic() - self._renewed
            log = logger.error if late > lease else logger.warning
            log("can't renew the lease on %d message(s), last renewed %.1f s ago: %s", len(tags), late, error)
        else:
            self._renewed = time.monotonic()
