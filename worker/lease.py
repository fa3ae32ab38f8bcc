"""The lease: a message belongs to its worker while the worker lives, and no longer.

Kombu's Redis transport gives an unacknowledged message to another worker when it is older than the
visibility timeout, whether or not its worker still works on it. That is too early for a long call
(celery issues 3430 and 5935: it runs twice) and too late after a crash (an hour by default).

So the timeout here is short, and every living worker renews what it holds: each `LEASE / 5` it sets
the delivery times of its own unacknowledged messages to now. A worker that is killed stops doing so,
and its messages are free after one lease. A message that was settled meanwhile is left alone (ZADD
with XX), so a renewal can't bring one back. "Now" is the broker's time throughout, because the workers'
clocks may differ by more than a lease, and then one would take from another what that still works on.

Limits: a worker that lives but can't reach the broker for a lease loses its messages to others, and
the same call may run twice; its future takes the first outcome. The same holds if its event loop is
kept from running for that long.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import bootsteps

from worker.ledger import NOW

logger = logging.getLogger(__name__)

#: Renewals per lease: four may fail or come late before the lease is lost.
RENEWALS = 5

# KEYS: Kombu's index of what was delivered. ARGV: the delivery tags.
_RENEW = NOW + "for _, tag in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'XX', now, tag) end"

# KEYS: Kombu's index of what was delivered. ARGV: the lease in seconds.
_TAKE_EXPIRED = (
    NOW
    + """
local tags = redis.call('ZRANGE', KEYS[1], '-inf', now - ARGV[1], 'BYSCORE')
for _, tag in ipairs(tags) do redis.call('ZADD', KEYS[1], now, tag) end
return tags
"""
)


def take_expired(redis: Any, index: str, lease: float) -> list[str]:
    """Return the delivery tags of messages whose lease ran out, for the caller alone to give back.

    Each has a new lease, within which nobody else is told of it; if the caller dies, another is after that.

    Args:
        redis: a redis-py client.
        index: the name of Kombu's index of what was delivered.
        lease: its length in seconds.
    """
    return [tag.decode() for tag in redis.eval(_TAKE_EXPIRED, 1, index, lease)]


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
        """Set the delivery time of every message that this worker holds to now, by the broker's clock.

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
                redis.eval(_RENEW, 1, channel.unacked_index_key, *tags)
        except (*channel.connection_errors, channel.ResponseError) as error:  # or its memory is full
            late = time.monotonic() - self._renewed
            log = logger.error if late > lease else logger.warning
            log("can't renew the lease on %d message(s), last renewed %.1f s ago: %s", len(tags), late, error)
        else:
            self._renewed = time.monotonic()
