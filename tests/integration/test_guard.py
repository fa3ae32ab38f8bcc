"""Whoever can write to the broker and lacks the key can run nothing, and end nothing.

Each test puts something hostile where the worker or a producer reads it, and then shows that nothing ran,
that nothing of it is left, and that the same processes work on. See docs/security.md.
"""

from __future__ import annotations

import base64
import json
import math
import os
import pickle
import random
import re
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from pathlib import Path
from typing import Any

import calls_for_tests
import psutil
import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from waiting import BOUND, until

from producer import CeleryExecutor, broker
from producer.cluster import Cluster
from producer.dispatch.errors import KeyMismatchError, VersionMismatchError
from worker import guard, keys, wire
from worker.signing import Key, load_key

#: Mutated messages of the fuzz: those that hypothesis makes, and those with a few bytes changed.
MUTANTS, FLIPPED = 1_000, 3_000
#: Nesting that no JSON parser follows, and one that it follows but what comes after it may not.
TOO_DEEP, DEEP = 200_000, 900
SURROGATE = "\ud800"


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (self.path,)


class Site:
    """A cluster under attack: what a stranger can do to it, and what an owner can see of it.

    The executor `x` waits for the batch `x-0`, so nothing but the guard keeps that batch from running.
    """

    def __init__(self, cluster: Cluster, client: redis.Redis, traces: Path) -> None:
        self.cluster, self.redis, self.traces = cluster, client, traces
        self.key = load_key(cluster.key_file)
        self.log = cluster.key_file.parent / "worker.log"
        self.ran = traces / "ran"
        client.set(keys.executor("x"), 1, ex=600)

    def executor(self, **options: Any) -> CeleryExecutor:
        options = {"patience": BOUND, "key_file": self.cluster.key_file, **options}
        return CeleryExecutor(url=self.cluster.url, queue=self.cluster.queue, **options)

    def body(self, batch_id: str = "x-0", path: Path | None = None) -> bytes:
        """The unsigned body of a batch whose one call leaves a trace."""
        call = (0, wire.pack_arguments((str(path or self.ran),), {}))
        return pickle.dumps(((batch_id, [("calls_for_tests:touch",)], [call], 1.0), {}, {}))

    def message(self, body: bytes | None = None, **changes: Any) -> dict[str, Any]:
        """A message for the worker; it would run, were its body (by default) signed."""
        made: dict[str, Any] = json.loads(
            wire.envelope(
                "x-0",
                self.body() if body is None else body,
                tag="x-0.0",
                queue=self.cluster.queue,
                description="",
                limits=(None, None),
                origin="a stranger",
            )
        )
        for name, value in changes.pop("headers", {}).items():
            made["headers"][name] = value
        for name, value in changes.pop("properties", {}).items():
            made["properties"][name] = value
        return {**made, **{name.replace("_", "-"): value for name, value in changes.items()}}

    def push(self, *messages: dict[str, Any] | bytes | str) -> None:
        raw = [json.dumps(m) if isinstance(m, dict) else m for m in messages]
        self.redis.lpush(self.cluster.queue, *raw)

    def works(self) -> None:
        """The worker takes what comes after: messages are read in order, so the others were read."""
        with self.executor() as executor:
            assert executor.submit(calls_for_tests.double, 21).result(BOUND) == 42

    def is_clean(self) -> None:
        """Nothing of the messages is left."""
        until(lambda: self.redis.llen(self.cluster.queue) == 0, "the queue to be empty")
        until(lambda: not self.redis.hgetall("unacked"), "the messages to be acknowledged")
        until(lambda: not self.redis.zcard("unacked_index"), "the messages to be acknowledged")
        assert self.redis.get(keys.result("x-0")) is None


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """After each test: nothing ran, nothing is left, the same processes work, and the log is short."""
    client = broker.connect(cluster.url)
    client.delete(keys.batch("x-0"), keys.result("x-0"))
    site = Site(cluster, client, tmp_path)
    before, log = processes(cluster), site.log.stat().st_size
    began = time.monotonic()
    yield site
    site.works()
    site.is_clean()
    assert not site.ran.exists()
    assert processes(cluster) == before
    with site.log.open("rb") as file:
        file.seek(log)
        said = file.read().decode(errors="replace")
    lines = [line for line in said.splitlines() if "Soft time limit (0.2s) exceeded" not in line]
    assert len(lines) <= 1 + (time.monotonic() - began) // guard.QUIET, said[:2000]
    assert all("refused a message: " in line for line in lines), said[:2000]
    assert "stranger" not in said
    client.close()


def processes(cluster: Cluster) -> set[psutil.Process]:
    return set(cluster.processes())


# What is put into the queue.


def test_the_message_of_these_tests_would_run_if_it_were_signed(site: Site, tmp_path: Path) -> None:
    """Else the others would show nothing."""
    path = tmp_path / "signed"
    site.push(site.message(site.key.sign(site.body(path=path))))
    until(path.exists, "the signed call to run")
    until(lambda: site.redis.exists(keys.result("x-0")), "its reply")
    site.redis.delete(keys.result("x-0"))


Forgery = Callable[[Site], dict[str, Any] | bytes | str]


def signed(site: Site) -> bytes:
    return site.key.sign(site.body())


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def truncated(site: Site) -> dict[str, Any]:
    return site.message(signed(site)[:-1])


def nested(depth: int) -> Any:
    made: Any = []
    for _ in range(depth):
        made = [made]
    return made


def just(message: dict[str, Any] | bytes | str) -> Forgery:
    return lambda _site: message


forgeries: dict[str, Forgery] = {
    "unsigned": lambda s: s.message(),
    "zeros for a signature": lambda s: s.message(bytes(32) + s.body()),
    "another key": lambda s: s.message(Key(bytes(32)).sign(s.body())),
    "changed in its signature": lambda s: s.message(flipped(signed(s), 3)),
    "changed in its body": lambda s: s.message(flipped(signed(s), 60)),
    "truncated at its end": truncated,
    "truncated at its beginning": lambda s: s.message(signed(s)[1:]),
    "truncated to its signature": lambda s: s.message(signed(s)[:32]),
    "extended": lambda s: s.message(signed(s) + b"."),
    "empty": lambda s: s.message(b""),
    "a pickle that runs when it is read": lambda s: s.message(pickle.dumps(Touch(s.ran))),
    "content type pickle": lambda s: s.message(
        pickle.dumps(Touch(s.ran)), content_type="application/x-python-serialize"
    ),
    "content type json": lambda s: s.message(
        b'[["x-0", [["os:getpid"]], [], 1], {}, {}]',
        content_type="application/json",
        content_encoding="utf-8",
    ),
    "content type missing": lambda s: s.message(content_type=None),
    "signed, content type pickle": lambda s: s.message(
        signed(s), content_type="application/x-python-serialize"
    ),
    "signed, content type text": lambda s: s.message(signed(s), content_type="text/plain"),
    "garbage": just(os.urandom(200)),
    "nothing": just(b""),
    "bytes that are no text": just(b"\xff\xfe\x00"),
    "half an envelope": lambda s: json.dumps(s.message(signed(s)))[:-20],
    "json: a number": just("17"),
    "json: null": just("null"),
    "json: a list": just("[1, 2]"),
    "json: text": just('"a stranger\'s words"'),
    "json: nested too deeply": just("[" * TOO_DEEP),
    "json: a number too long": just("9" * 10_000),
    "an empty object": just({}),
    "no headers": lambda s: {**s.message(signed(s)), "headers": None},
    "headers that are none": lambda s: {**s.message(signed(s)), "headers": ["task"]},
    "no properties": lambda s: {**s.message(signed(s)), "properties": {}},
    "no body": lambda s: {**s.message(signed(s)), "body": None},
    "a body that is no base64": lambda s: {**s.message(signed(s)), "body": "a"},
    "a body that is not ASCII": lambda s: {**s.message(signed(s)), "body": "ééé"},
    "a body that is not encoded": lambda s: s.message(signed(s), properties={"body_encoding": None}),
    "a delivery tag that is no text": lambda s: s.message(signed(s), properties={"delivery_tag": 3}),
    "a delivery tag that can't be sent": lambda s: s.message(
        signed(s), properties={"delivery_tag": SURROGATE}
    ),
    "a delivery tag without end": lambda s: s.message(signed(s), properties={"delivery_tag": "t" * 10_000}),
    "delivery info that is none": lambda s: s.message(signed(s), properties={"delivery_info": "breakeven"}),
    "an exchange that can't be sent": lambda s: s.message(
        signed(s), properties={"delivery_info": {"exchange": SURROGATE, "routing_key": "q"}}
    ),
    "compressed without end": lambda s: s.message(
        zlib.compress(bytes(50_000_000)), headers={"compression": "gzip"}
    ),
    "compressed by nobody knows what": lambda s: s.message(headers={"compression": "stranger"}),
    "another task": lambda s: s.message(signed(s), headers={"task": "celery.backend_cleanup"}),
    "a task that is no name": lambda s: s.message(signed(s), headers={"task": ["run_calls"]}),
    "no task": lambda s: s.message(signed(s), headers={"task": None}),
    "an id that is no name": lambda s: s.message(signed(s), headers={"id": {"a": 1}}),
    "an id that can't be sent": lambda s: s.message(signed(s), headers={"id": SURROGATE + "-0"}),
    "a signed body under another id": lambda s: s.message(s.key.sign(s.body("x-1"))),
    "a signed reply for a task": lambda s: s.message(s.key.dumps({"status": "SUCCESS", "task_id": "x-0"})),
    "a signed list for a task": lambda s: s.message(s.key.dumps([1, 2, 3])),
    "a signed batch with too little in it": lambda s: s.message(s.key.dumps((("x-0",), {}, {}))),
    "a signed batch with a callback": lambda s: s.message(
        s.key.dumps((("x-0", [], [], 1.0), {}, {"callbacks": [{"task": "run_calls"}]}))
    ),
    "a signature over nothing": lambda s: s.message(s.key.sign(b"")),
    "a signature over garbage": lambda s: s.message(s.key.sign(b"a stranger's words")),
}


@pytest.mark.parametrize("name", forgeries)
def test_what_is_no_signed_batch_is_refused(site: Site, name: str) -> None:
    site.push(forgeries[name](site))


def test_refused_messages_are_counted_and_told_now_and_then(site: Site) -> None:
    """Thousands of them: the log tells how many there were, and does not grow with them."""
    site.push(*[site.message()] * 3_000)


def test_hostile_headers_are_not_obeyed(site: Site, tmp_path: Path) -> None:
    """A time in the future, limits that are none, a reply to somewhere else, a callback: all is left aside.

    The body is valid, so the calls run: whoever can write to the broker can send a message again.
    """
    hostile: list[dict[str, Any]] = [
        {"timelimit": limits}
        for limits in (
            "soon",
            ["1", "2"],
            [1],
            [[], {}],
            [-1, -1],
            [math.nan, math.inf],
            [1e300, 1e300],
            [10**400, 10**400],
            [True, False],
            nested(DEEP),
        )
    ]
    hostile += [
        {"eta": "9999-12-31T23:59:59", "expires": "1970-01-01T00:00:00"},
        {"eta": "a stranger's words", "expires": 10**400},
        {"retries": -1, "group": "g", "chord": {"task": "run_calls"}, "ignore_result": True},
        {"argsrepr": nested(DEEP), "kwargsrepr": {"a": 1}, "origin": SURROGATE},
        {"argsrepr": "stranger" * 1_000, "origin": nested(DEEP)},
        {"lang": "c", "shadow": "stranger", "stamps": {"a": [1]}, "stamped_headers": ["a"]},
        {"claim": ["a", "b"], "replaced_task_nesting": "x", "root_id": nested(DEEP), "parent_id": 5},
    ]
    properties: list[dict[str, Any]] = [
        {"reply_to": "somewhere", "correlation_id": nested(DEEP), "priority": "high"},
        {"priority": nested(DEEP), "delivery_mode": -1, "stranger": nested(DEEP)},
    ]
    messages = [{"headers": headers} for headers in hostile] + [{"properties": some} for some in properties]
    paths = []
    for number, changes in enumerate(messages):
        paths.append(tmp_path / f"call-{number}")
        batch_id = f"x-{100 + number}"
        changes = {"headers": {}, "properties": {}, **changes}
        changes["headers"] = {"id": batch_id, **changes["headers"]}
        changes["properties"] = {"delivery_tag": batch_id, **changes["properties"]}
        site.push(site.message(site.key.sign(site.body(batch_id, paths[-1])), **changes))
    replies = [keys.result(f"x-{100 + number}") for number in range(len(messages))]
    until(lambda: site.redis.exists(*replies) == len(messages), "each of the calls to end")
    assert [path.name for path in paths if not path.exists()] == []
    site.redis.delete(*replies)


def test_a_message_that_comes_again_is_not_run_again(site: Site, tmp_path: Path) -> None:
    """Its reply was read: the batch's tombstone keeps a copy of the message from running."""
    trace = tmp_path / "trace"
    with site.executor() as executor:
        dispatcher = executor._dispatcher
        sent: list[bytes] = []
        push = dispatcher._redis.lpush
        dispatcher._redis.lpush = lambda queue, message: (sent.append(message), push(queue, message))  # type: ignore[method-assign,assignment,misc]
        executor.submit(calls_for_tests.append, str(trace), "x").result(BOUND)
        [message] = sent
        site.push(message, message)
        dispatcher._close_read()
        assert site.redis.hget(keys.batch(f"{dispatcher.id}-0"), "done") == b"1"
        site.push(message, message)
        assert executor.submit(calls_for_tests.double, 2).result(BOUND) == 4
        until(lambda: not site.redis.llen(site.cluster.queue), "the copies to be taken")
    site.push(message)  # and nobody waits for it
    site.works()
    assert trace.read_text() == "x"


# Fuzz.


def test_no_mutant_of_a_message_runs(site: Site) -> None:
    """Thousands of messages, each a real one with something changed: none runs, and the worker works on."""
    body = site.key.sign(site.body())
    intact = json.loads(json.dumps(site.message(body)))
    raw = json.dumps(intact).encode()
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SURROGATE),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
    spots = [(name,) for name in intact if name != "body"]
    spots += [("properties", name) for name in intact["properties"]]
    spots += [("headers", name) for name in ("task", "id", "compression")]
    spots += [("properties", "delivery_info", name) for name in ("exchange", "routing_key")]

    def with_body(changed: bytes) -> bytes:
        return json.dumps({**intact, "body": base64.b64encode(changed).decode()}).encode()

    def with_junk(spots_and_junk: tuple[list[tuple[str, ...]], list[Any], bytes]) -> bytes:
        """Anything, anywhere in the envelope, and a body that is not quite the signed one."""
        places, values, changed = spots_and_junk
        made = json.loads(with_body(changed))
        for place, value in zip(places, values, strict=False):
            inner = made
            for name in place[:-1]:
                inner = inner.get(name) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                inner[place[-1]] = value
        return json.dumps(made).encode()

    places = st.integers(0, len(body) - 1)
    bodies = (
        st.tuples(places, st.integers(1, 255)).map(
            lambda change: body[: change[0]] + bytes([body[change[0]] ^ change[1]]) + body[change[0] + 1 :]
        )
        | places.map(lambda length: body[:length])
        | st.binary(min_size=1, max_size=40).map(lambda more: body + more)
        | st.binary(max_size=80)
        | st.binary(min_size=32, max_size=32)
        .filter(lambda code: code != body[:32])
        .map(lambda code: code + body[32:])
    )
    mutants = (
        bodies.map(with_body)
        | st.tuples(
            st.lists(st.sampled_from(spots), min_size=1, max_size=3),
            st.lists(junk, min_size=3, max_size=3),
            bodies,
        ).map(with_junk)
        | st.integers(0, len(raw) - 1).map(lambda length: raw[:length])
        | st.binary(max_size=60)
        | junk.map(json.dumps).map(str.encode)
    )
    pushed: list[bytes] = []

    @settings(
        max_examples=MUTANTS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutants)
    def collect(mutant: bytes) -> None:
        pushed.append(mutant)

    collect()
    assert len(pushed) >= MUTANTS
    for seed in range(FLIPPED):
        dice = random.Random(seed)  # noqa: S311 - no secret is made of it
        changed = bytearray(body)
        for place in dice.sample(range(len(body)), dice.randint(1, 8)):
            changed[place] ^= dice.randint(1, 255)
        pushed.append(with_body(bytes(changed)))
    for start in range(0, len(pushed), 500):
        site.push(*pushed[start : start + 500])
    site.works()


# Remote control.


def commands(site: Site) -> dict[str, bytes | str]:
    def command(method: str, body: bytes | None = None, **changes: Any) -> str:
        words = {"method": method, "arguments": {"n": 1}, "destination": None, "pattern": None}
        return json.dumps(
            site.message(
                body or json.dumps(words).encode(),
                **{"content_type": "application/json", "content_encoding": "utf-8", **changes},
            )
        )

    return {
        "shutdown": command("shutdown"),
        "pool_shrink": command("pool_shrink"),
        "pool_restart": command("pool_restart"),
        "cancel_consumer": command("cancel_consumer"),
        "unsigned pickle": command(
            "", pickle.dumps(Touch(site.ran)), content_type="application/x-python-serialize"
        ),
        "claims to be signed": command("shutdown", content_type="application/x-breakeven-signed"),
        "unsigned, of the signed type": command(
            "", pickle.dumps(Touch(site.ran)), content_type="application/x-breakeven-signed"
        ),
        "signed, and no command": command("", signed(site), content_type="application/x-breakeven-signed"),
        "garbage": b"\xff\xfe a stranger's words",
        "json: no envelope": '["a stranger\'s words"]',
        "json: nested too deeply": "[" * TOO_DEEP,
        "a delivery tag that can't be sent": command("shutdown", properties={"delivery_tag": SURROGATE}),
        "compressed without end": command(
            "", zlib.compress(bytes(50_000_000)), headers={"compression": "gzip"}
        ),
    }


def test_remote_control_obeys_no_stranger(site: Site) -> None:
    """`shutdown`, sent as anybody can who reaches the broker, reaches the worker and is refused."""
    for name, command in commands(site).items():
        assert site.redis.publish("/0.celery.pidbox", command) >= 1, name
        site.works()


def test_events_are_read_by_no_worker(site: Site) -> None:
    """They are not signed, so nobody may act on them. Flower reads them, and shows them."""
    for event in ("worker.elect", "worker.online", "task.sent"):
        assert site.redis.publish(f"/0.celeryev/{event}", json.dumps(site.message())) == 0


# What is sent to a producer.


def waiting(site: Site, executor: CeleryExecutor, gate: Path) -> Any:
    """A call that runs until its gate opens."""
    future = executor.submit(calls_for_tests.hold, str(gate))
    until(future.running, "the call to run")
    return future


def forged_replies(site: Site, batch_id: str) -> dict[str, bytes]:
    def reply(task_id: str = batch_id, value: object = "forged") -> dict[str, Any]:
        packed = wire.Reply(task_id, "w", [(wire.RETURNED, pickle.dumps(value))], [(1, 0.1)])
        return {"status": "SUCCESS", "result": packed, "task_id": task_id, "traceback": None, "children": []}

    real = site.key.dumps(reply())
    return {
        "unsigned": pickle.dumps(reply()),
        "json": json.dumps({"status": "SUCCESS", "result": 1, "task_id": batch_id}).encode(),
        "a pickle that runs when it is read": pickle.dumps(Touch(site.ran)),
        "the same, with a signature of zeros": bytes(32) + pickle.dumps(Touch(site.ran)),
        "another key": Key(bytes(32)).dumps(reply()),
        "another key, and runs when it is read": Key(bytes(32)).sign(pickle.dumps(Touch(site.ran))),
        "changed": flipped(real, 50),
        "truncated": real[:-1],
        "empty": b"",
        "garbage": os.urandom(100),
        "signed, for another batch": site.key.dumps(reply("x-0")),
        "signed, and a task": site.key.sign(site.body(batch_id)),
        "signed, and text": site.key.dumps("text"),
        "signed, and nothing": site.key.dumps(None),
    }


def test_forged_replies_resolve_nothing(site: Site, tmp_path: Path) -> None:
    """Published where the producer listens, and stored where it looks when it has heard nothing for long."""
    gate = tmp_path / "gate"
    with site.executor() as executor:
        future = waiting(site, executor, gate)
        dispatcher = executor._dispatcher
        batch_id = f"{dispatcher.id}-0"
        forged = forged_replies(site, batch_id)
        for name, payload in forged.items():
            assert site.redis.publish(keys.result(batch_id), payload) == 1, name
        until(lambda: dispatcher.dropped >= len(forged), "the forged replies to be dropped")
        for payload in forged.values():
            site.redis.set(keys.result(batch_id), payload)
            dispatcher._fetch()
        assert dispatcher.dropped >= 2 * len(forged)
        site.redis.delete(keys.result(batch_id))
        assert future.running()
        gate.touch()
        assert "/" in future.result(BOUND)  # its own value, from its own worker
        assert executor.submit(calls_for_tests.double, 1).result(BOUND) == 2


def test_forged_replies_are_told_now_and_then(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = tmp_path / "gate"
    began = time.monotonic()
    with site.executor() as executor:
        future = waiting(site, executor, gate)
        batch_id = f"{executor._dispatcher.id}-0"
        for _ in range(500):
            site.redis.publish(keys.result(batch_id), b"a stranger's words")
        until(lambda: executor._dispatcher.dropped == 500, "all of them to be dropped")
        gate.touch()
        future.result(BOUND)
    told = [record.getMessage() for record in caplog.records if "dropped a reply" in record.getMessage()]
    assert 1 <= len(told) <= 1 + (time.monotonic() - began) // 10
    assert "stranger" not in caplog.text


def hostile_news(batch_id: str) -> list[bytes | str]:
    return [
        b"",
        b"\xff\xfe",
        b"started",
        "started nobody-0",
        f"started {batch_id} {batch_id}",
        f"started {batch_id}",
        "started " + "x" * 1_000_000,
        os.urandom(1_000),
        "over",
        "shutdown",
    ]


def test_hostile_news_do_no_harm(site: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with site.executor() as executor:
        future = waiting(site, executor, gate)
        dispatcher = executor._dispatcher
        batch_id = f"{dispatcher.id}-0"
        for news in hostile_news(batch_id):
            assert site.redis.publish(keys.news(dispatcher.id), news) == 1
        for end in (b"\xff", b"", b"\xed\xa0\x80", b"x" * 100_000):  # channels that the producer hears, too
            assert site.redis.publish(f"{keys.RESULT_PREFIX}{dispatcher.id}-".encode() + end, b"x") == 1
        assert executor.submit(calls_for_tests.double, 5).result(BOUND) == 10
        assert future.running()
        gate.touch()
        assert "/" in future.result(BOUND)


def test_who_cancels_or_cuts_short_what_is_not_theirs_fails_it_and_no_more(
    site: Site, tmp_path: Path
) -> None:
    """Time limits and cancellations are not signed: the future says so, and nobody waits for ever."""
    gate, queue = tmp_path / "gate", site.cluster.queue
    with site.executor(batch=1) as executor:
        held = [executor.submit(calls_for_tests.hold, str(gate)) for _ in range(2)]
        until(lambda: all(future.running() for future in held), "both processes to be busy")
        cancelled = [executor.submit(calls_for_tests.touch, str(site.ran)) for _ in range(4)]
        until(lambda: all(future.batch for future in cancelled), "the calls to be sent")  # type: ignore[attr-defined]
        for future in cancelled:
            site.redis.hset(keys.batch(future.batch.id), "c0", 1)  # type: ignore[attr-defined]
        short = executor.submit(calls_for_tests.hold, str(tmp_path / "never"))
        until(lambda: short.batch, "the call to be sent")  # type: ignore[attr-defined]
        until(lambda: short.batch.id.encode() in (site.redis.lindex(queue, 0) or b""), "its message")  # type: ignore[attr-defined]
        message = json.loads(site.redis.lpop(queue))  # type: ignore[arg-type]
        message["headers"]["timelimit"] = [60, 0.2]
        site.push(message)
        gate.touch()
        for future in cancelled:
            with pytest.raises(CancelledError):
                future.result(BOUND)
        with pytest.raises(TimeoutError):
            short.result(BOUND)
        assert all("/" in future.result(BOUND) for future in held)


# Who says that they are a worker.


@pytest.mark.parametrize(
    ("presence", "error"),
    [
        (b"\xff\xfe", VersionMismatchError),
        (b"[1]", VersionMismatchError),
        (b"[" * TOO_DEEP, VersionMismatchError),
        ({"protocol": 2}, VersionMismatchError),
        ({"protocol": "1"}, VersionMismatchError),
        ({"processes": "many"}, VersionMismatchError),
        ({"lease": "long"}, VersionMismatchError),
        ({"stranger": 1}, VersionMismatchError),
        ({"key": "0" * 12}, KeyMismatchError),
    ],
)
def test_a_worker_that_is_none_of_ours_is_told(
    site: Site, presence: bytes | dict[str, Any], error: type[BrokenExecutor]
) -> None:
    """Presence is not signed: a stranger can keep a producer from working, and it is told at once."""
    queue = "of-a-stranger"
    worker = {
        "name": "w",
        "host": "h",
        "pid": 1,
        "processes": 1,
        "python": "3.11",
        "protocol": keys.PROTOCOL,
        "key": site.key.fingerprint(),
        "lease": 15.0,
    }
    text = json.dumps({**worker, **presence}) if isinstance(presence, dict) else presence
    site.redis.sadd(keys.workers(queue), "w", b"\xff\xfe")
    site.redis.set(keys.worker(queue, "w"), text, ex=60)
    try:
        with CeleryExecutor(
            url=site.cluster.url, queue=queue, key_file=site.cluster.key_file, patience=BOUND
        ) as executor:
            future = executor.submit(calls_for_tests.double, 1)
            assert type(future.exception(BOUND)) is error
            with pytest.raises(error):
                executor.submit(calls_for_tests.double, 1)
    finally:
        site.redis.delete(keys.workers(queue), keys.worker(queue, "w"), queue)


# Where the key is not.


def test_no_process_of_a_cluster_shows_the_key(site: Site) -> None:
    """Each knows the name of its file. `ps eww`, a container's inspection, a crash report show no more."""
    secret = site.cluster.key_file.read_bytes()
    forms = [secret, secret.hex().encode(), base64.b64encode(secret), repr(secret)[2:-1].encode()]
    named = 0
    for process in site.cluster.processes():
        for what in ("environ", "cmdline"):
            shown = Path(f"/proc/{process.pid}/{what}").read_bytes()
            assert not any(form in shown for form in forms)
            named += f"BREAKEVEN_KEY_FILE={site.cluster.key_file}".encode() in shown
    assert named >= 3  # the worker and its processes
    for log in site.cluster.key_file.parent.glob("*.log"):
        assert not any(form in log.read_bytes() for form in forms)


def test_the_broker_never_sees_the_key(site: Site, tmp_path: Path) -> None:
    """Not even while calls are under way, in any value of any kind."""
    secret = site.cluster.key_file.read_bytes()
    gate = tmp_path / "gate"
    with site.executor() as executor:
        waiting(site, executor, gate)
        dumps = [site.redis.dump(name) or b"" for name in site.redis.scan_iter()]
        [worker] = broker.present(site.redis, site.cluster.queue)
        presence = site.redis.get(keys.worker(site.cluster.queue, worker.name)) or b""
        gate.touch()
    assert dumps
    assert not any(secret in dump or secret.hex().encode() in dump for dump in dumps)
    assert re.search(rb'"key": "[0-9a-f]{12}"', presence)  # its fingerprint
