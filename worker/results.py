"""Where replies are stored: Celery's Redis backend, in one command, and patient with a full broker."""

from __future__ import annotations

import time
from typing import Any

from celery.backends.redis import RedisBackend
from redis.exceptions import OutOfMemoryError

#: Seconds between two tries where the broker's memory is full.
_FULL = 0.2

# KEYS: the result, which is its channel too. ARGV: expiry, value. Both or none: a full broker stores nothing.
# As a script, because the value then travels once, and redis-py takes half the time that a transaction takes.
_STORE = """
redis.call('SETEX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('PUBLISH', KEYS[1], ARGV[2])
"""


class Backend(RedisBackend):
    """Celery's Redis backend, but for two things.

    It stores a result without asking first whether there is one: the producer takes the first reply that it
    hears of, whatever comes later. And where the broker's memory is full, it waits for room, as long as that
    takes: the work is done, and its message is not acknowledged before its outcome is stored.
    """

    _script: tuple[Any, Any] | None = None  # of which client, since a forked process has another

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        self.set(self.get_key_for_task(task_id), self.encode(meta))
        return result

    def _set(self, key: str, value: bytes, expires: int | None = None) -> None:
        while True:
            try:
                self._store(keys=[key], args=[expires or self.expires, value])
            except OutOfMemoryError:
                time.sleep(_FULL)
            else:
                return

    @property
    def _store(self) -> Any:
        client = self.client
        if self._script is None or self._script[0] is not client:
            self._script = client, client.register_script(_STORE)
        return self._script[1]
