"""A broker that dies, comes back, fills up, can't be reached; and producers that die or share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

import faulty_calls
import pytest
from rig import BOUND, QUEUE, Rig, until

from producer.dispatch.dispatcher import ALIVE
from producer.dispatch.errors import BrokerUnavailableError
from worker import keys


def outage(rig: Rig, *, before: Callable[[], None], after: Callable[[], None], via: str = "") -> Counted:
    """Break something while two calls run and more wait, and let the calls go on while it is broken."""
    gate = rig.directory / "gate"
    executor = rig.executor(via or None)
    calls: list[Future[Any]] = [
        executor.submit(faulty_calls.hold, rig.runs.path, n, str(gate)) for n in range(2)
    ]
    rig.runs.pid(0)
    rig.runs.pid(1)
    calls += [executor.submit(faulty_calls.nap, rig.runs.path, n, 0.03) for n in range(2, 20)]
    until(rig.broker.waiting, "calls to wait in the broker")
    before()
    gate.touch()
    calls += [executor.submit(faulty_calls.step, rig.runs.path, n) for n in range(20, 25)]
    after()
    assert [call.result(BOUND) for call in calls] == list(range(25))
    assert set(rig.runs.count()) == {str(n) for n in range(25)}
    return Counted(executor._dispatcher.duplicates, executor._dispatcher.resent, rig.runs.count())


@dataclass
class Counted:
    duplicates: int
    resent: int
    runs: dict[str, int]


def test_a_broker_that_comes_back_with_its_file_loses_nothing(lasting: Rig) -> None:
    """Row 7."""
    lasting.worker(2)
    outage(lasting, before=lasting.broker.kill, after=lasting.broker.start)
    until(lasting.broker.settled, "the messages to be settled")


def test_a_broker_that_comes_back_empty_is_sent_everything_again(rig: Rig) -> None:
    """Row 8."""
    rig.worker(2)
    counted = outage(rig, before=rig.broker.kill, after=rig.broker.start)
    assert counted.resent > 0
    until(rig.broker.settled, "the messages to be settled")


def lasts(seconds: float) -> None:
    """Let a fault last: this is its length, and nothing is waited for."""
    time.sleep(seconds)


@pytest.mark.parametrize(("fault", "seconds"), [("cut", 10), ("block", 3)])
@pytest.mark.parametrize("side", ["producer", "worker"])
def test_a_connection_that_is_cut_comes_back(rig: Rig, side: str, fault: str, seconds: float) -> None:
    """Row 9: for 10 s, of either side; and one on which nothing gets through for a while."""
    proxy = rig.proxy()
    rig.worker(2, url=proxy.url if side == "worker" else None)
    outage(
        rig,
        before=proxy.cut if fault == "cut" else proxy.block,
        after=lambda: (lasts(seconds), proxy.mend())[0],
        via=proxy.url if side == "producer" else "",
    )
    until(rig.broker.settled, "the messages to be settled")


def test_a_result_that_nobody_heard_is_fetched(rig: Rig) -> None:
    """Row 9: published while the subscription was down."""
    proxy = rig.proxy()
    rig.worker(1)
    gate = rig.directory / "gate"
    executor = rig.executor(proxy.url)
    call = executor.submit(faulty_calls.hold, rig.runs.path, "call", str(gate))
    rig.runs.pid("call")
    proxy.cut()
    gate.touch()
    until(rig.broker.replies, "the reply to be stored")
    until(rig.broker.settled, "the message to be settled")
    assert not call.done()
    proxy.mend()
    assert call.result(BOUND) == "call"
    assert rig.runs.count() == {"call": 1}


def test_a_subscription_that_went_dead_without_a_word_is_made_anew(rig: Rig) -> None:
    """Row 9: a half-open connection. Nothing ever tells of it; it has to be asked."""
    proxy = rig.proxy()
    rig.worker(1)
    executor = rig.executor(proxy.url)
    assert executor.submit(faulty_calls.step, rig.runs.path, "warm").result(BOUND) == "warm"

    def subscribers() -> int:
        found: Any = rig.broker.client.pubsub_numsub(keys.news(executor._dispatcher.id))
        return int(found[0][1])

    assert subscribers() == 1
    proxy.block(also_new=False)
    gate = rig.directory / "gate"
    call = executor.submit(faulty_calls.hold, rig.runs.path, "call", str(gate))
    until(lambda: subscribers() == 2, "a second subscription")
    gate.touch()
    assert call.result(BOUND) == "call"


def test_a_full_broker_holds_everything_up_and_loses_nothing(rig: Rig) -> None:
    """Row 10: calls that end can't store their outcomes, and submitted ones can't be sent; until they can."""
    worker = rig.worker(2, lease=1)
    gate = rig.directory / "gate"
    executor = rig.executor()
    calls = [executor.submit(faulty_calls.hold, rig.runs.path, n, str(gate)) for n in range(2)]
    rig.runs.pid(0)
    rig.runs.pid(1)
    fill(rig)
    gate.touch()
    calls += [executor.submit(faulty_calls.step, rig.runs.path, n) for n in range(2, 40)]
    until(lambda: "can't renew the lease" in worker.log(), "the worker to tell of it")
    late = rig.worker(1, lease=1, wait=False)  # one that starts meanwhile waits, too
    until(lambda: "OutOfMemoryError" in late.log(), "the second worker to try")
    assert not any(call.done() for call in calls)
    assert executor._dispatcher._failing_since is not None
    rig.broker.client.config_set("maxmemory", 0)
    assert [call.result(BOUND) for call in calls] == list(range(40))
    rig.wait_present(worker, late)
    until(rig.broker.settled, "the messages to be settled")


def fill(rig: Rig) -> None:
    """Leave no room in the broker's memory: it takes nothing new."""
    rig.broker.client.config_set("maxmemory", 1)


def kill(rig: Rig) -> None:
    rig.broker.kill()


@pytest.mark.parametrize(
    ("fault", "reason", "worker_says"),
    [(kill, "onnection", "onnection"), (fill, "'maxmemory'", "can't renew the lease")],
)
def test_a_broker_that_never_comes_back_fails_every_future(
    rig: Rig, fault: Callable[[Rig], None], reason: str, worker_says: str
) -> None:
    """Rows 10 and 11: within `patience`, with one clear error; and the worker says that it can't reach it."""
    worker = rig.worker(1)
    gate = rig.directory / "gate"
    executor = rig.executor(patience=3)
    calls = [executor.submit(faulty_calls.hold, rig.runs.path, n, str(gate)) for n in range(50)]
    rig.runs.pid(0)
    fault(rig)
    _, unresolved = wait(calls, 3 + 10)  # patience, and what it takes to notice
    assert not unresolved
    errors = {call.exception() for call in calls}
    assert len(errors) == 1
    error = errors.pop()
    assert isinstance(error, BrokerUnavailableError)
    assert str(rig.broker.port) in str(error)
    assert reason in str(error)
    with pytest.raises(BrokerUnavailableError):
        executor.submit(faulty_calls.step, rig.runs.path, "more")
    until(lambda: worker_says in worker.log(), "the worker to tell of it")


PRODUCER = f"""
import faulty_calls
from producer import CeleryExecutor
executor = CeleryExecutor(queue={QUEUE!r})
log, gate = {{!r}}, {{!r}}
calls = [executor.submit(faulty_calls.hold, log, n, gate) for n in range(10)]
print(executor._dispatcher.id, flush=True)
calls[-1].result()
"""


def test_calls_of_a_producer_that_was_killed_are_dropped(rig: Rig) -> None:
    """Row 12: those that have not started, within `ALIVE` seconds; and no key stays past its expiry."""
    rig.worker(1, lease=2)
    client = rig.broker.client
    before = set(client.keys("*"))  # type: ignore[arg-type]
    gate = rig.directory / "gate"
    producer = rig.run(PRODUCER.format(rig.runs.path, str(gate)))
    assert producer.stdout is not None
    executor_id = producer.stdout.readline().strip()
    rig.runs.pid(0)
    until(rig.broker.waiting, "calls to wait in the broker")
    producer.kill()
    until(lambda: not client.exists(keys.executor(executor_id)), "the producer to be missed", ALIVE + 2)
    gate.touch()
    until(rig.broker.settled, "its calls to be dropped")
    assert rig.runs.count() == {"0": 1}
    left = set(client.keys("*")) - before  # type: ignore[arg-type]
    left = {key for key in left if not key.startswith(b"_kombu.")}
    assert all(0 < client.ttl(key) <= keys.EXPIRES for key in left), left  # type: ignore[operator]


def test_producers_that_share_a_cluster_share_it(rig: Rig) -> None:
    """Row 13: each gets its own outcomes, and a burst of one holds the other up by what is under way only."""
    rig.worker(2)
    many, few = rig.executor(), rig.executor()
    burst = [many.submit(faulty_calls.nap, rig.runs.path, f"many-{n}", 0.05) for n in range(200)]
    until(lambda: len(rig.runs.lines()) >= 20, "the burst to be under way")
    for n in range(5):
        sent = len(rig.runs.lines())
        assert few.submit(faulty_calls.step, rig.runs.path, f"few-{n}").result(BOUND) == f"few-{n}"
        names = [name for name, _, _ in rig.runs.lines()]
        ahead = names.index(f"few-{n}") - sent
        # Three messages of the burst are under way at most, each with a quarter of a second of work.
        assert ahead <= 3 * 5
    assert sum(not call.done() for call in burst) > 50
    assert [call.result(BOUND) for call in burst] == [f"many-{n}" for n in range(200)]
