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
from kombu import pidbox
from kombu.transport import virtual
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Empty
from kombu.transport.redis import QoS as RedisQoS
from kombu.transport.redis import Transport as RedisTransport
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis import Redis
from redis.exceptions import OutOfMemoryError

from worker import wire
from worker.lease import take_expired
from worker.ledger import Ledger, RefusedError
from worker.signing import CONTENT_TYPE, SignatureError, load_key

logger = logging.getLogger(__name__)

#: Seconds between two lines in the log about refused messages, however many there are.
QUIET = 10.0
#: Seconds that the acknowledgement of a message may wait for the next claim.
SETTLE = 0.01
#: Seconds that events for Flower may wait for others.
EVENTS = 0.25
#: Events that wait at most.
MOST_EVENTS = 1_000
#: Bytes that a name in an envelope may have.
LONGEST = 500
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
    """Kombu's, but that its records in Redis are kept with the claims, in the same round trip.

    A message gets onto the records when it is claimed. One that is settled is taken off with the next claim,
    or after SETTLE seconds where there is none. If the worker dies in between, the message comes again, and
    its ledger says that there is nothing left to do.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settled: list[str] = []
        self.timer: Any = None  # the consumer's, while its event loop runs
        self._settles = False  # a timer is set

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note in memory that a message was delivered."""
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Note in memory that a message is settled, and see that Redis learns of it."""
        virtual.QoS.ack(self, delivery_tag)
        self.settled.append(delivery_tag)
        if self.timer is None:
            self.settle()
        elif not self._settles:
            self._settles = True
            self.timer.call_after(SETTLE, self.settle)

    def settle(self) -> None:
        """Take settled messages off the records now."""
        self._settles = False
        settled, self.settled = self.settled, []
        if settled:
            try:
                with self.channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
                    pipe.hdel(self.unacked_key, *settled)
                    pipe.zrem(self.unacked_index_key, *settled)
                    pipe.execute()
            except self.channel.connection_errors as error:
                logger.warning(
                    "can't acknowledge %d message(s), which will come again: %s", len(settled), error
                )

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Give back messages whose lease ran out; where the broker's memory is full, that has to wait.

        Kombu's own goes by this machine's clock.
        """
        try:
            with self.channel.conn_or_acquire() as client:
                for tag in take_expired(client, self.unacked_index_key, self.visibility_timeout):
                    self.restore_by_tag(tag, client)
        except self.channel.ResponseError as error:
            logger.debug("can't look for leases that ran out: %s", error)


class Channel(RedisChannel):
    """Kombu's channel, but for an item of the queue that is not JSON: it is refused, and not raised."""

    QoS = QoS

    def _handle_message(self, client: Any, r: Any) -> Any:
        """Return what was published; nothing where it can't be read, which Kombu would log whole."""
        payload = super()._handle_message(client, r)
        if bytes_to_str(payload["type"]).endswith("message"):
            try:
                loads(bytes_to_str(payload["data"]))
            except Exception:
                refusals.refuse("it is not JSON")
                return {**payload, "data": None}
        return payload

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
        envelope = _envelope(message)
        if envelope is None:
            refusals.refuse("it is no envelope of Kombu's")
        elif queue in self._callbacks:
            super()._deliver(envelope, queue)
        else:  # this worker takes no more (worker.stop): another one has it next
            with self.channels[0].conn_or_acquire() as redis:
                redis.rpush(queue, dumps(envelope))


def _envelope(message: Any) -> dict[str, Any] | None:
    """Return a message's envelope, made anew; None if it is none.

    Nothing of it is signed but the body, and Kombu and Celery do what it says: they decompress the body,
    compute with what should be a number, send to Redis what should be text. So only what they need is kept,
    where it has the right form.
    """
    try:
        properties, headers = message["properties"], message["headers"]
        delivery = properties["delivery_info"]
        if not (
            _is_name(properties["delivery_tag"])
            and _is_name(delivery["exchange"])
            and _is_name(delivery["routing_key"])
            and properties.get("body_encoding") == "base64"
            and isinstance(headers, dict)
            and isinstance(message["body"], str)
            and binascii.a2b_base64(message["body"]) is not None
        ):
            return None
        return {
            "body": message["body"],
            "content-type": _text(message.get("content-type")),
            "content-encoding": _text(message.get("content-encoding")),
            "headers": (_headers(headers) or {}) if "task" in headers else _plain(headers),
            "properties": {
                "body_encoding": "base64",
                "delivery_mode": 2,
                "delivery_tag": properties["delivery_tag"],
                "delivery_info": {
                    "exchange": delivery["exchange"],
                    "routing_key": delivery["routing_key"],
                    "redelivered": delivery.get("redelivered") is True,
                },
                "priority": 0,
            },
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _is_name(given: object) -> bool:
    return isinstance(given, str) and len(given.encode()) <= LONGEST  # a lone surrogate is a ValueError


def _text(given: object) -> str:
    return given.encode(errors="replace").decode()[:LONGEST] if isinstance(given, str) else ""


def _plain(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the headers of a remote control command: those that are numbers or short texts."""
    return {
        name: value
        for name, value in headers.items()
        if name != "compression" and (type(value) in (int, float, bool) or _is_name(value))
    }


def _headers(given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the headers of a message for `run_calls`, made anew; None if it is not for that."""
    batch_id, limits = given.get("id"), given.get("timelimit")
    if given.get("task") != wire.TASK or not _is_name(batch_id):
        return None
    if not (
        isinstance(limits, list)
        and len(limits) == 2
        and all(limit is None or (type(limit) in (int, float) and 0 < limit < 1e9) for limit in limits)
    ):
        limits = [None, None]
    return wire.headers(
        str(batch_id), limits, _text(given.get("argsrepr"))[:200], _text(given.get("origin"))[:200]
    )


def _is_batch(payload: Any, batch_id: str) -> bool:
    """Tell whether a signed body is that of the batch: replies and commands are signed with the same key."""
    match payload:
        case (args, {**kwargs}, {**embed}) if not kwargs and not embed:
            return isinstance(args, tuple) and len(args) == 4 and args[0] == batch_id
    return False


class Node(pidbox.Node):
    """What remote control commands are delivered to, but for bodies that are none."""

    def handle_message(self, body: Any, message: Any = None) -> Any:
        """Do what a command says."""
        if isinstance(body, dict):
            return super().handle_message(body, message)
        refusals.refuse("it is no remote control command")
        return None


class Consumer(CeleryConsumer):
    """Celery's consumer, but that what is not signed goes to nobody, and what goes to the pool is claimed."""

    _events_due: Any = None
    _ledger_of: tuple[Any, Ledger] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["app"].control.mailbox.node_cls = Node
        # Gossip listens to other workers' events, which are not signed, and ends the worker over a bad one.
        super().__init__(*args, **{**kwargs, "without_gossip": True})

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is called with each message; called at each (re)connection."""
        self._events_due = None  # its timer went with the connection before
        self.task_consumer.channel.qos.timer = self.timer
        handle = super().create_task_handler(*args, **kwargs)
        key = load_key()

        def check_and_handle(message: Any) -> None:
            if message.headers.get("task") != wire.TASK:
                self.refuse(message, f"it is not for {wire.TASK}")
            elif message.content_type != CONTENT_TYPE or not isinstance(message.body, bytes):
                self.refuse(message, "it is not signed")
            else:
                try:
                    key.verify(message.body)
                    payload = message.payload  # it is kept there: Celery does not unpickle it again
                except SignatureError as error:
                    self.refuse(message, str(error))
                except Exception:
                    self.refuse(message, "it is signed, and can't be read")
                else:
                    if _is_batch(payload, message.headers["id"]):
                        self.claim(message, handle)
                    else:
                        self.refuse(message, "its body is not that of the batch that it claims to be")

        return check_and_handle

    def claim(self, message: Any, handle: Any) -> None:
        """Claim a batch, and hand it to the pool with what its ledger says."""
        channel, delivery = message.channel, message.delivery_info
        kept = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])  # noqa: SLF001 - as Kombu
        names = (channel.unacked_key, channel.unacked_index_key)
        settled, channel.qos.settled = channel.qos.settled, []
        try:
            claim = self._ledger(channel).claim(
                message.headers["id"], message.delivery_tag, kept, names, settled
            )
        except RefusedError as refusal:
            logger.info("batch %s is not run: %s", message.headers["id"], refusal)
            message.ack_log_error(logger, self.connection_errors)
        except OutOfMemoryError:
            # It is in our hands alone until there is room again; if we die, its producer sends it again.
            channel.qos.settled += settled
            self.timer.call_after(FULL, self.claim, (message, handle))
        else:
            message.headers["claim"] = [claim.deliveries, claim.crashes, claim.cause, claim.cancelled]
            handle(message)
            self._hand_over()

    def _ledger(self, channel: Any) -> Ledger:
        if self._ledger_of is None or self._ledger_of[0] is not channel:
            self._ledger_of = channel, Ledger(Redis(connection_pool=channel.pool))
        return self._ledger_of[1]

    def _hand_over(self) -> None:
        """Have the pool write to a free process now, instead of at the event loop's next turn."""
        pool = self.pool._pool  # noqa: SLF001 - Celery has no public way to it
        free = [fd for fd in pool._all_inqueues if fd not in pool._busy_workers]  # noqa: SLF001
        if free:
            self.hub.consolidate_callback(free)

    def refuse(self, message: Any, why: str) -> None:
        """Acknowledge a message, so that it is gone, and do nothing else with it."""
        message.ack_log_error(logger, self.connection_errors)
        refusals.refuse(why)

    def on_send_event_buffered(self) -> None:
        """Send events together, a little later: Celery's way, at once, costs 1 ms of each message's time."""
        if self._events_due is None:
            self.event_dispatcher.buffer_limit = MOST_EVENTS
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
