"""The broker as producers see it: how to reach it, and who serves a queue there."""

from __future__ import annotations

import json
import os
import re
import time
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import redis

from worker import keys

#: Seconds that one command to the broker may take.
TIMEOUT = 5.0

#: What redis-py raises where the broker is away, starting up, or takes nothing.
UNREACHABLE = (redis.ConnectionError, redis.TimeoutError, OSError)


class BrokerUnavailableError(BrokenExecutor):
    """The broker can't be reached, or refuses; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A Celery worker that serves the queue now.

    Attributes:
        name: its Celery node name.
        host: the machine or container it runs on.
        pid: of its parent process.
        processes: how many calls it can run at a time.
        python: its Python version.
        protocol: version of the wire format that it speaks.
        key: fingerprint of its signing key.
        lease: seconds after which its messages go to another worker, once it is silent.
    """

    name: str
    host: str
    pid: int
    processes: int
    python: str
    protocol: int
    key: str
    lease: float


def queue_name() -> str:
    """Return the name of the queue: BREAKEVEN_QUEUE, or `breakeven`."""
    return os.environ.get("BREAKEVEN_QUEUE") or "breakeven"


def connect(url: str, **options: Any) -> redis.Redis:
    """Return a client of the broker at `url`. It connects when it is first used.

    Args:
        url: as Celery takes it: `redis://`, `rediss://` or `redis+socket://`.
        **options: further ones of redis-py's.

    Raises:
        BrokerUnavailableError: the URL is not one of Redis.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise _malformed(url, error) from None
    if scheme not in ("redis", "rediss", "redis+socket", "unix"):
        raise BrokerUnavailableError(
            f"the broker {shown(url)} is not Redis: its URL has to begin with redis:// or rediss://"
        )
    if scheme == "redis+socket":  # Celery's word for what redis-py calls unix
        url = "unix" + url.removeprefix("redis+socket").replace("virtual_host=", "db=")
    settings: dict[str, Any] = {
        "socket_connect_timeout": TIMEOUT,
        "socket_timeout": TIMEOUT,
        "socket_keepalive": True,
        "client_name": "breakeven-producer",
        **options,
    }
    if scheme in ("redis+socket", "unix"):
        del settings["socket_connect_timeout"], settings["socket_keepalive"]
    try:
        return redis.Redis.from_url(url, **settings)
    except ValueError as error:
        raise _malformed(url, error) from None


def _malformed(url: str, error: ValueError) -> BrokerUnavailableError:
    # What the parser says may quote a part of a password that it took for something else.
    hidden = shown(url)
    reason = error if hidden == url else "it is malformed; special characters in a password have to be quoted"
    return BrokerUnavailableError(f"the broker's URL {hidden} can't be used: {reason}")


def unavailable(url: str, error: BaseException) -> BrokerUnavailableError:
    """Return the error that says that the broker at `url` does not answer, and why."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    made = BrokerUnavailableError(f"the broker {shown(url)} can't be used: {reason}")
    made.__cause__ = error
    return made


def shown(url: str) -> str:
    """Return `url` as it may be shown: without its password, also where that makes the URL malformed."""
    credentials, at, rest = url.rpartition("@")
    if at:
        scheme, separator, _ = credentials.partition("://")
        url = f"{scheme}{separator}***@{rest}" if separator else f"***@{rest}"
    return re.sub("(?i)(password=)[^&]*", r"\1***", url)


def workers(url: str, queue: str | None = None) -> list[Worker]:
    """Return the workers that serve a queue, by name.

    Args:
        url: the broker.
        queue: its name; by default `queue_name()`.

    Raises:
        BrokerUnavailableError: the broker does not answer, or refuses.
    """
    client = connect(url)
    try:
        return present(client, queue or queue_name())
    except (redis.RedisError, OSError) as error:
        raise unavailable(url, error) from error
    finally:
        client.close()


def round_trip(url: str) -> float:
    """Return the median seconds of a round trip to the broker: 20 PINGs, one after another.

    Raises:
        BrokerUnavailableError: the broker does not answer, or refuses.
    """
    client = connect(url)
    times = []
    try:
        client.ping()  # the first one connects
        for _ in range(20):
            begun = time.perf_counter()
            client.ping()
            times.append(time.perf_counter() - begun)
    except (redis.RedisError, OSError) as error:
        raise unavailable(url, error) from error
    finally:
        client.close()
    return median(times)


def present(client: redis.Redis, queue: str) -> list[Worker]:
    """Like `workers`, on a client that is there.

    Raises:
        redis.RedisError: the broker does not answer, or refuses.
    """
    members: set[Any] = client.smembers(keys.workers(queue))
    names = sorted(name.decode(errors="replace") for name in members)
    if not names:
        return []
    found = []
    for name, text in zip(names, client.mget([keys.worker(queue, name) for name in names]), strict=True):
        if text is None:  # it has not been heard of for a while
            client.srem(keys.workers(queue), name)
            continue
        try:
            found.append(_read(text))
        except (TypeError, ValueError, RecursionError):  # of a version that tells other things
            found.append(Worker(name, "?", 0, 0, "?", -1, "?", 0.0))
    return found


def _read(text: bytes | str) -> Worker:
    """Return the worker that a presence key describes.

    Raises:
        TypeError, ValueError, RecursionError: it describes none.
    """
    worker = Worker(**json.loads(text))
    for name, kind in get_type_hints(Worker).items():
        value = getattr(worker, name)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise TypeError(f"{name} is {value!r}")
    return worker
