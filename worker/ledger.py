"""The ledger of a batch: who may run it, how often it was tried, and which of its calls were cancelled.

It is a hash in Redis, and each entry is made by one command or script, so whatever two sides do at the
same time, one of them comes first:

    field       written by      says
    started     the worker      how often the batch was taken by a worker that had a process free for it
    c<index>    the producer    this call is cancelled; refused once the batch has started
    crashes     both            how often a process died under it...
    cause       the worker      ...and of what, the last time
    done        the producer    its reply was read: a late copy of the message is void

So a call that was cancelled never runs, a call that may have run is never reported as cancelled, and a
message that comes twice (its worker died after reporting, a lease ran out) does no work that was done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker import keys

#: Seconds that a batch's tombstone stays: several times the lease, after which no copy of its message can
#: still be under way. At a thousand messages a second it is 100,000 small keys, some 10 MB.
TOMBSTONE = 120

#: A batch under which a process died this often is not tried again...
MAX_CRASHES = 3
#: ...nor one that was begun this often without an end, for reasons that nobody lived to tell.
MAX_DELIVERIES = 8

#: How a script begins that needs the time: the broker's, since workers' clocks may differ.
NOW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
"""

# KEYS: Kombu's two records of what was delivered, the batch, its executor, its result.
# ARGV: delivery tag, what Kombu keeps of the message, expiry, batch id, the executor's news channel, then the
# delivery tags of messages that are settled.
# Kombu's own QoS makes and removes the same entries; here it is done with the claim, in one round trip.
_CLAIM = (
    NOW
    + """
if #ARGV > 5 then
    local settled = {unpack(ARGV, 6)}
    redis.call('HDEL', KEYS[1], unpack(settled))
    redis.call('ZREM', KEYS[2], unpack(settled))
end
if redis.call('EXISTS', KEYS[4]) == 0 then return {'nobody waits for it'} end
if redis.call('EXISTS', KEYS[5]) == 1 or redis.call('HEXISTS', KEYS[3], 'done') == 1 then
    return {'its reply is there'}
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
local deliveries = redis.call('HINCRBY', KEYS[3], 'started', 1)
if deliveries == 1 then redis.call('EXPIRE', KEYS[3], ARGV[3]) end
redis.call('PUBLISH', ARGV[5], 'started ' .. ARGV[4])
if redis.call('HLEN', KEYS[3]) == 1 then return {deliveries} end
return {deliveries, redis.call('HGETALL', KEYS[3])}
"""
)

# KEYS: the batch. ARGV: expiry, then the indexes of the calls to cancel. Returns 0 if it is too late.
_CANCEL = """
if redis.call('HEXISTS', KEYS[1], 'started') == 1 then return 0 end
for i = 2, #ARGV do redis.call('HSET', KEYS[1], 'c' .. ARGV[i], 1) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a batch.

    Attributes:
        deliveries: how often the batch was begun, this time included.
        crashes: how often a process died under it.
        cause: of what, the last time.
        cancelled: indexes of the calls that are not to be run.
    """

    deliveries: int
    crashes: int = 0
    cause: str = ""
    cancelled: tuple[int, ...] = ()

    @property
    def hopeless(self) -> bool:
        """Whether it was tried often enough."""
        return self.crashes >= MAX_CRASHES or self.deliveries > MAX_DELIVERIES


class RefusedError(Exception):
    """A batch is not to be run: nobody waits for it any more, or its reply is there already."""


class Ledger:
    """Reads and writes the ledgers of batches.

    Args:
        redis: a redis-py client of the broker that the cluster uses.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._claim = redis.register_script(_CLAIM)
        self._cancel = redis.register_script(_CANCEL)

    def claim(
        self, batch_id: str, tag: str, message: str, names: tuple[str, str], settled: list[str]
    ) -> Claim:
        """Begin a batch: note that its message is in this worker's hands, and tell its executor.

        Args:
            batch_id: the batch.
            tag: the delivery tag of its message.
            message: what Kombu needs to give it back: JSON of message, exchange and routing key.
            names: of Kombu's records, `unacked` and `unacked_index`.
            settled: delivery tags of messages that are to be taken off those records.

        Raises:
            RefusedError: it is not to be run; nothing was noted.
        """
        executor_id = keys.executor_of(batch_id)
        answer = self._claim(
            keys=[*names, keys.batch(batch_id), keys.executor(executor_id), keys.result(batch_id)],
            args=[tag, message, keys.EXPIRES, batch_id, keys.news(executor_id), *settled],
        )
        if isinstance(answer[0], bytes):
            raise RefusedError(answer[0].decode())
        if len(answer) == 1:
            return Claim(answer[0])
        fields = dict(zip(answer[1][::2], answer[1][1::2], strict=True))
        return Claim(
            deliveries=answer[0],
            crashes=int(fields.get(b"crashes", 0)),
            cause=fields.get(b"cause", b"").decode(errors="replace"),
            cancelled=tuple(int(name[1:]) for name in fields if name[:1] == b"c" and name[1:].isdigit()),
        )

    def cancel(self, batch_id: str, indexes: list[int]) -> bool:
        """Keep calls of a batch from ever running; return False, and change nothing, if it has begun."""
        return bool(self._cancel(keys=[keys.batch(batch_id)], args=[keys.EXPIRES, *indexes]))

    def crashed(self, batch_id: str, cause: str) -> None:
        """Note that a process died under a batch."""
        with self._redis.pipeline() as pipe:
            pipe.hincrby(keys.batch(batch_id), "crashes", 1)
            pipe.hset(keys.batch(batch_id), "cause", cause)
            pipe.expire(keys.batch(batch_id), keys.EXPIRES)
            pipe.execute()

    def suspect(self, batch_id: str) -> None:
        """Note that a process died under a call before it got this message of its own; before it is sent."""
        with self._redis.pipeline() as pipe:
            pipe.hset(keys.batch(batch_id), "crashes", 1)
            pipe.expire(keys.batch(batch_id), keys.EXPIRES)
            pipe.execute()

    def close(self, batch_ids: list[str]) -> None:
        """Delete the replies of batches, which were read, and leave tombstones in their place."""
        with self._redis.pipeline(transaction=False) as pipe:
            for batch_id in batch_ids:
                pipe.unlink(keys.result(batch_id))
                pipe.hset(keys.batch(batch_id), "done", 1)
                pipe.expire(keys.batch(batch_id), TOMBSTONE)
            pipe.execute()
