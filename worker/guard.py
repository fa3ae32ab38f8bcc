"""The guard: what is no signed message of this cluster is refused, before anything is made of it.

    broker --> Transport: is it an envelope?  --> Consumer: is it a signed `run_calls`? --> claim --> pool
                     |                                 |                                      |
                     +---------- refuse ---------------+                   not to be run: acknowledged
                                 gone, counted, told now and then

Whoever can write to the broker can put anything into the queue. Celery reads much of it before it knows
whether it may, logs whole bodies, stores results for tasks that it does not know, and ends where the
envelope is not what it expects. Here such messages go no further than their first bytes.

What it can't do: keep someone who can write to the broker from filling or emptying it.
"""

from __future__ import annotations

import binascii
import logging
import time
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.transport import virtual
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Empty
from kombu.transport.redis import QoS as RedisQoS
from kombu.transport.redis import Transport as RedisTransport
from kombu.utils.json import dumps
from redis.exceptions import OutOfMemoryError

from worker import wire
from worker.ledger import Ledger, RefusedError
from worker.signing import CONTENT_TYPE, SignatureError, load_key

logger = logging.getLogger(__name__)

#: Seconds between two lines in the log about refused messages, however many there are.
QUIET = 10.0
#: Seconds that events for Flower may wait for others.
EVENTS = 0.25
#: Seconds between two tries where the broker's memory is full.
FULL = 0.2


class Refusals:
    """Counts what is refused, and tells so at most once in QUIET seconds."""

    def __init__(self) -> None:
        self.count = 0
        self._told = -QUIET

    def refuse(self, why: str) -> None:
        """Count a refused message.

        Args:
            why: a sentence of ours. Nothing that a stranger wrote gets into the log.
        """
        self.count += 1
        now = time.monotonic()
        if now - self._told >= QUIET:
            self._told = now
            logger.warning("refused a message: %s (%d refused since the start)", why, self.count)


refusals = Refusals()


class QoS(RedisQoS):
    """Kombu's, but that a message gets into its records in Redis with the claim, and not before."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note in memory that a message was delivered."""
        virtual.QoS.append(self, message, delivery_tag)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Give back messages whose lease ran out; where the broker's memory is full, that has to wait."""
        try:
            super().restore_visible(*args, **kwargs)
        except self.channel.ResponseError as error:
            logger.debug("can't look for leases that ran out: %s", error)


class Channel(RedisChannel):
    """Kombu's channel, but for an item of the queue that is not JSON: it is refused, and not raised."""

    QoS = QoS

    def _brpop_read(self, **options: Any) -> Any:
        self.connection.delivering = False
        try:
            return super()._brpop_read(**options)
        except (Empty, *self.connection_errors):
            raise
        except Exception:
            if self.connection.delivering:  # no trouble with reading it
                raise
            refusals.refuse("it is not JSON")
            raise Empty from None


class Transport(RedisTransport):
    """Kombu's Redis transport, but for JSON that is no envelope: it is refused, and not raised."""

    Channel = Channel
    # A worker that (re)connects while the broker's memory is full tries again, as if the broker were away.
    connection_errors = (*RedisTransport.connection_errors, OutOfMemoryError)
    delivering = False

    def _deliver(self, message: Any, queue: Any) -> None:
        self.delivering = True
        if not _is_envelope(message):
            refusals.refuse("it is no envelope of Kombu's")
        elif queue in self._callbacks:
            super()._deliver(message, queue)
        else:  # this worker takes no more (worker.stop): another one has it next
            with self.channels[0].conn_or_acquire() as redis:
                redis.rpush(queue, dumps(message))


def _is_envelope(message: Any) -> bool:
    try:
        properties = message["properties"]
        return (
            isinstance(properties["delivery_tag"], str)
            and isinstance(properties["delivery_info"]["exchange"], str)
            and isinstance(properties["delivery_info"]["routing_key"], str)
            and properties.get("body_encoding") == "base64"
            and isinstance(message["headers"], dict)
            and isinstance(message["body"], str)
            and binascii.a2b_base64(message["body"]) is not None
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _headers(given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the headers of a message for `run_calls`, made anew; None if it is not for that.

    Headers are not signed, and Celery does what they say: so nothing of them is kept but what a producer
    of ours sets, where it has the right form.
    """
    batch_id, limits = given.get("id"), given.get("timelimit")
    if given.get("task") != wire.TASK or not isinstance(batch_id, str):
        return None
    if not (
        isinstance(limits, list)
        and len(limits) == 2
        and all(limit is None or (type(limit) in (int, float) and 0 < limit < 1e9) for limit in limits)
    ):
        limits = [None, None]
    return wire.headers(batch_id, limits, str(given.get("argsrepr"))[:200], str(given.get("origin"))[:200])


class Consumer(CeleryConsumer):
    """Celery's consumer, but that what is not signed goes to nobody, and what goes to the pool is claimed."""

    _events_due: Any = None

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is called with each message."""
        handle = super().create_task_handler(*args, **kwargs)
        key = load_key()

        def check_and_handle(message: Any) -> None:
            headers = _headers(message.headers)
            if headers is None:
                self.refuse(message, f"it is not for {wire.TASK}")
            elif message.content_type != CONTENT_TYPE or not isinstance(message.body, bytes):
                self.refuse(message, "it is not signed")
            else:
                try:
                    key.verify(message.body)
                except SignatureError as error:
                    self.refuse(message, str(error))
                else:
                    message.headers = headers
                    self.claim(message, handle)

        return check_and_handle

    def claim(self, message: Any, handle: Any) -> None:
        """Claim a batch, and hand it to the pool with what its ledger says."""
        channel, delivery = message.channel, message.delivery_info
        kept = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])  # noqa: SLF001 - as Kombu
        names = (channel.unacked_key, channel.unacked_index_key)
        try:
            with channel.conn_or_acquire() as redis:
                claim = Ledger(redis).claim(message.headers["id"], message.delivery_tag, kept, names)
        except RefusedError as refusal:
            logger.info("batch %s is not run: %s", message.headers["id"], refusal)
            message.ack_log_error(logger, self.connection_errors)
        except OutOfMemoryError:
            # It is in our hands alone until there is room again; if we die, its producer sends it again.
            self.timer.call_after(FULL, self.claim, (message, handle))
        else:
            message.headers["claim"] = [claim.deliveries, claim.crashes, claim.cause, claim.cancelled]
            handle(message)

    def refuse(self, message: Any, why: str) -> None:
        """Acknowledge a message, so that it is gone, and do nothing else with it."""
        message.ack_log_error(logger, self.connection_errors)
        refusals.refuse(why)

    def on_send_event_buffered(self) -> None:
        """Send events together, a little later: Celery's way, at once, costs 1 ms of each message's time."""
        if self._events_due is None:
            self._events_due = self.timer.call_after(EVENTS, self._send_events)

    def _send_events(self) -> None:
        self._events_due = None
        self._flush_events()

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """Refuse what can't be read, remote control commands included."""
        self.refuse(message, "it can't be read")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """Refuse a signed body in a message that is not as Celery wants it."""
        self.refuse(message, "its headers are not those of a task")
