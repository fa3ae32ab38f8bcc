"""What `CeleryExecutor` promises beyond the contract that all models share (test_models.py).

Where a call has to be running, or to wait, it holds on to a file as its gate: nothing depends on how fast
anything is.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import hashlib
import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import calls_for_tests
import psutil
import pytest
import values_for_tests
from waiting import BOUND, gone, until

from producer import CeleryExecutor, broker
from producer.cluster import Cluster, free_port
from producer.dispatch.errors import (
    BrokerUnavailableError,
    CallError,
    KeyMismatchError,
    NoWorkersError,
    ShutDownError,
)
from worker import keys
from worker.wire import RemoteTraceback

WORKERS = 2


def opened(cluster: Cluster, **options: Any) -> CeleryExecutor:
    return CeleryExecutor(
        url=cluster.url, **{"queue": cluster.queue, "key_file": cluster.key_file, **options}
    )


@pytest.fixture
def executor(cluster: Cluster) -> Iterator[CeleryExecutor]:
    with opened(cluster) as executor:
        yield executor


def test_replies_are_stored_by_the_backend_of_ours(executor: CeleryExecutor) -> None:
    """A setting of Celery's can take its place, in silence: slower, and impatient with a full broker."""
    assert executor.submit(calls_for_tests.backend).result(BOUND) == "worker.results:Backend"


class Gate:
    """A file that calls wait for, on every worker; it opens at the end in any case."""

    def __init__(self, executor: CeleryExecutor, path: Path) -> None:
        self.executor, self.path = executor, path

    def hold(self) -> Future[str]:
        return self.executor.submit(calls_for_tests.hold, str(self.path))

    def fill(self) -> list[Future[str]]:
        """Occupy every process of the cluster."""
        futures: list[Future[str]] = []
        for _ in range(WORKERS):
            futures.append(self.hold())
            until(futures[-1].running, "the call to run")
        return futures

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(executor: CeleryExecutor, tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(executor, tmp_path / "gate")
    yield gate
    gate.open()


# Functions, arguments, results.


def test_lambdas_and_local_functions_go_by_value(executor: CeleryExecutor) -> None:
    offset = 40

    def add(value: int) -> int:
        return value + offset

    assert executor.submit(lambda: 1 + 1).result(BOUND) == 2
    assert executor.submit(add, 2).result(BOUND) == 42
    assert executor.submit(functools.partial(pow, 2), 5).result(BOUND) == 32
    assert executor.submit("-".join, ["a", "b"]).result(BOUND) == "a-b"
    assert executor.submit(lambda f: f(3), lambda value: 2 * value).result(BOUND) == 6
    assert executor.submit(values_for_tests.give, "lambda").result(BOUND) is len


SCRIPT = """
    import sys
    from concurrent.futures import as_completed
    from producer import CeleryExecutor

    class Point:
        def __init__(self, x): self.x = x

    class OutOfRange(Exception):
        pass

    def double(point):
        if point.x > 100:
            raise OutOfRange(point.x)
        return Point(2 * point.x)

    def main():
        with CeleryExecutor(1) as executor:
            points = list(executor.map(double, [Point(1), Point(2)]))
            assert all(isinstance(point, Point) for point in points)
            print([point.x for point in points])
            print(executor.submit(lambda: 7).result(30))
            try:
                executor.submit(double, Point(101)).result(30)
            except OutOfRange as error:
                print("caught", error.args, "in double" in str(error.__cause__))
"""


def test_a_plain_script_works_as_it_stands(tmp_path: Path) -> None:
    """Its functions and classes are known to nobody else; the cluster is its own, and goes with it.

    With and without the guard that a process pool needs.
    """
    scripts = tmp_path / "guarded.py", tmp_path / "plain.py"
    for script, end in zip(scripts, ("if __name__ == '__main__':\n    main()\n", "main()\n"), strict=True):
        script.write_text(textwrap.dedent(SCRIPT) + end)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        for said in threads.map(run, scripts):
            assert said.splitlines() == ["[2, 4]", "7", "caught (101,) True"]


def run(script: Path, **environment: str) -> str:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("CELERY_", "BREAKEVEN_"))}
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=BOUND,
        cwd=script.parent,
        env={**kept, "PYTHONPATH": path, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("megabytes", [1, 20])
def test_large_arguments_and_results_pass(executor: CeleryExecutor, megabytes: int) -> None:
    data = os.urandom(1 << 10) * (megabytes << 10)
    back = executor.submit(values_for_tests.size, data).result(BOUND)
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


# What goes wrong with one call is that call's alone.


def with_neighbours(executor: CeleryExecutor, function: Any, *args: Any) -> BaseException | None:
    """What a call raises that travels with others; they all have their own values."""
    before = [executor.submit(calls_for_tests.double, n) for n in range(20)]
    future = executor.submit(function, *args)
    after = [executor.submit(calls_for_tests.double, n) for n in range(20)]
    error = future.exception(BOUND)
    assert [f.result(BOUND) for f in before + after] == [2 * n for n in range(20)] * 2
    assert executor.submit(calls_for_tests.double, 4).result(BOUND) == 8
    return error


@pytest.mark.parametrize("argument", [threading.Lock(), values_for_tests.Unpicklable()])
def test_an_argument_that_can_not_be_pickled_fails_its_call_and_says_what_to_do(
    executor: CeleryExecutor, argument: object
) -> None:
    error = with_neighbours(executor, values_for_tests.accept, argument)
    assert isinstance(error, TypeError | SystemExit)
    assert any("can't be pickled. Pass plain data" in note for note in error.__notes__)


@pytest.mark.parametrize("kind", ["lock", "exits-here"])
def test_a_result_that_can_not_be_pickled_fails_its_call(executor: CeleryExecutor, kind: str) -> None:
    error = with_neighbours(executor, values_for_tests.give, kind)
    assert isinstance(error, CallError)
    assert "can't be pickled" in str(error)
    assert "return plain data" in str(error)


def test_a_result_that_can_not_be_read_fails_its_call(executor: CeleryExecutor) -> None:
    error = with_neighbours(executor, values_for_tests.give, "exits-there")
    assert isinstance(error, CallError)
    assert "the result can't be read here: SystemExit: unpickled" in str(error)


def test_an_argument_that_can_not_be_read_fails_its_call(executor: CeleryExecutor) -> None:
    error = with_neighbours(executor, values_for_tests.accept, values_for_tests.Loaded())
    assert isinstance(error, SystemExit)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("locked", "LockedError: locked"),
        ("two-parts", "TwoPartsError: this and that"),
        ("mute", "MuteError: "),
    ],
)
def test_an_exception_that_can_not_travel_is_told_by_name(
    executor: CeleryExecutor, kind: str, expected: str
) -> None:
    error = with_neighbours(executor, values_for_tests.throw, kind)
    assert isinstance(error, CallError)
    assert expected in str(error)
    assert "values_for_tests.py" in str(error.__cause__)


def test_an_exception_arrives_as_itself_with_its_traceback_there(executor: CeleryExecutor) -> None:
    error = with_neighbours(executor, calls_for_tests.fail, "gone")
    assert type(error) is LookupError
    assert error.args == ("gone",)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "raise LookupError(message)" in str(error.__cause__)


def test_an_exception_that_lets_nobody_set_its_cause_has_it_all_the_same(executor: CeleryExecutor) -> None:
    error = with_neighbours(executor, values_for_tests.throw, "frozen")
    assert isinstance(error, values_for_tests.FrozenError)
    assert error.args == (7,)
    assert isinstance(error.__cause__, RemoteTraceback)


@pytest.mark.parametrize(("kind", "expected"), [("exit", SystemExit), ("interrupt", KeyboardInterrupt)])
def test_what_would_end_a_program_ends_a_call(
    executor: CeleryExecutor, kind: str, expected: type[BaseException]
) -> None:
    assert type(with_neighbours(executor, values_for_tests.throw, kind)) is expected


def test_an_async_function_is_told_for_what_it_is(executor: CeleryExecutor) -> None:
    error = with_neighbours(executor, values_for_tests.coroutine)
    assert isinstance(error, CallError)
    assert "the function is async" in str(error)
    assert "asyncio.run" in str(error)


def test_a_function_that_workers_do_not_have_is_told(
    executor: CeleryExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    error = with_neighbours(executor, only_here.f)
    assert isinstance(error, CallError)
    assert "can't import only_here:f" in str(error)
    assert "give the workers the same code" in str(error)


# States, and cancelling.


def test_states_move_from_pending_to_running_to_finished(executor: CeleryExecutor, gate: Gate) -> None:
    gate.fill()
    future = gate.hold()
    assert not future.running()
    assert "state=pending" in repr(future)
    gate.open()
    assert future.result(BOUND)
    assert future.done()
    assert not future.running()
    assert "state=finished returned str" in repr(future)
    failed = executor.submit(calls_for_tests.fail, "x")
    failed.exception(BOUND)
    assert "state=finished raised LookupError" in repr(failed)


def test_a_running_call_is_not_cancelled(executor: CeleryExecutor, gate: Gate) -> None:
    future = gate.hold()
    until(future.running, "the call to run")
    assert "state=running" in repr(future)
    assert not future.cancel()
    gate.open()
    assert future.result(BOUND)
    assert not future.cancel()


def test_a_cancelled_call_never_runs_wherever_it_waited(
    executor: CeleryExecutor, gate: Gate, cluster: Cluster, tmp_path: Path
) -> None:
    """In the producer's own queue, in the broker, and in a worker's hands that has no process free."""
    held = gate.fill()
    trace = tmp_path / "trace"
    futures = [executor.submit(calls_for_tests.append, str(trace), f"{n},") for n in range(40)]
    client = broker.connect(cluster.url)
    until(lambda: client.llen(cluster.queue), "messages to wait in the broker")
    client.close()
    assert any(future.batch is not None for future in futures)  # type: ignore[attr-defined]
    assert any(future.batch is None for future in futures)  # type: ignore[attr-defined]
    cancelled = [future for n, future in enumerate(futures) if n % 2 and future.cancel()]
    assert len(cancelled) == 20
    assert all(future.cancelled() and "cancelled" in repr(future) for future in cancelled)
    with pytest.raises(CancelledError):
        cancelled[0].result(BOUND)
    gate.open()
    concurrent.futures.wait(futures + held, BOUND)
    assert sorted(int(n) for n in trace.read_text().split(",") if n) == list(range(0, 40, 2))


def test_a_cancelled_call_is_seen_by_those_who_wait_and_by_callbacks(
    executor: CeleryExecutor, gate: Gate
) -> None:
    gate.fill()
    futures = [executor.submit(calls_for_tests.double, n) for n in range(10)]
    called: list[Future[int]] = []
    futures[-1].add_done_callback(called.append)
    assert futures[-1].cancel()
    done, _ = concurrent.futures.wait(futures, BOUND, concurrent.futures.FIRST_COMPLETED)
    assert done == {futures[-1]}
    assert called == [futures[-1]]
    assert futures[-1].cancel()  # again: it is cancelled


def test_a_call_that_ends_while_it_is_cancelled_is_not_cancelled(
    cluster: Cluster, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cancels it is held up when he has seen that it was not done, though its outcome is here."""
    gate.fill()
    arrived, seen = threading.Event(), threading.Event()
    with opened(cluster, batch=2) as executor:
        calls: list[Any] = [executor.submit(calls_for_tests.double, n) for n in range(20)]

        def batches() -> list[Any]:
            return [call.batch for call in calls if call.batch is not None and len(call.batch.futures) == 2]

        until(batches, "calls to travel together")
        first, second = batches()[0].futures
        really_done = second.done

        def done() -> bool:
            answer = bool(really_done())
            seen.set()
            until(lambda: second.batch is None, "the call to end")
            return answer

        def hold_up_the_receiver(_: object) -> None:
            arrived.set()
            seen.wait(BOUND)

        first.add_done_callback(hold_up_the_receiver)
        gate.open()
        assert arrived.wait(BOUND)
        with monkeypatch.context() as patched:
            patched.setattr(second, "done", done)
            assert not second.cancel()
        assert [call.result(BOUND) for call in calls] == [2 * n for n in range(20)]


def test_a_call_whose_cancellation_comes_back_while_it_is_cancelled_ends_once(
    executor: CeleryExecutor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cancels it is held up when the broker has taken note, until the worker has reported that."""
    held = gate.fill()
    call = executor.submit(calls_for_tests.double, 2)
    until(lambda: call.batch is not None and call.batch.sent < 1e300, "the call to be sent")  # type: ignore[attr-defined]
    reported, ended = threading.Event(), threading.Event()
    ledger = executor._dispatcher._ledger
    really_cancel = ledger.cancel

    def cancel(*args: Any) -> bool:
        in_time = really_cancel(*args)
        gate.open()
        assert reported.wait(BOUND)
        return in_time

    def report(_: Future[int]) -> None:
        reported.set()
        ended.wait(1)  # the receiver has not let go of it yet; the other may be waiting for it

    monkeypatch.setattr(ledger, "cancel", cancel)
    call.add_done_callback(report)
    assert call.cancel()
    ended.set()
    with pytest.raises(CancelledError):
        call.result(BOUND)
    concurrent.futures.wait(held, BOUND)
    until(lambda: executor._dispatcher._pending <= 0, "all calls to end")
    executor.shutdown()
    assert executor._dispatcher._pending == 0


# Time limits.


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (values_for_tests.spin, ()),
        (time.sleep, (60,)),
        (values_for_tests.stubborn, ()),
        (hashlib.pbkdf2_hmac, ("sha256", b"password", b"salt", 1 << 30)),  # C code that no signal reaches
    ],
)
def test_a_time_limit_stops_a_call_whatever_it_does(
    executor: CeleryExecutor, function: Any, arguments: tuple[Any, ...]
) -> None:
    future = executor.with_options(time_limit=0.2).submit(function, *arguments)
    others = [executor.submit(calls_for_tests.double, n) for n in range(20)]
    with pytest.raises(TimeoutError, match="time limit"):
        future.result(BOUND)
    assert [other.result(BOUND) for other in others] == [2 * n for n in range(20)]


def test_a_call_that_is_stopped_can_put_things_in_order(executor: CeleryExecutor, tmp_path: Path) -> None:
    trace = tmp_path / "tidy"
    with pytest.raises(TimeoutError):
        executor.with_options(time_limit=0.2).submit(values_for_tests.tidy, str(trace)).result(BOUND)
    assert trace.exists()


def test_a_time_limit_is_for_running_and_not_for_waiting(executor: CeleryExecutor, gate: Gate) -> None:
    held = gate.fill()
    limited = executor.with_options(time_limit=1.5).submit(calls_for_tests.double, 3)
    concurrent.futures.wait([limited], 1.7)
    gate.open()
    assert limited.result(BOUND) == 6
    assert all(future.result(BOUND) for future in held)


# Bounds.


def test_submit_waits_where_max_pending_calls_are_outstanding(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with opened(cluster, max_pending=3) as executor:
        futures = [executor.submit(calls_for_tests.hold, str(gate)) for _ in range(3)]
        fourth = threading.Thread(
            target=lambda: futures.append(executor.submit(calls_for_tests.hold, str(gate)))
        )
        fourth.start()
        fourth.join(0.3)
        assert fourth.is_alive()
        assert len(futures) == 3
        gate.touch()
        fourth.join(BOUND)
        assert len(futures) == 4
        assert all(future.result(BOUND) for future in futures)


def test_a_cancelled_call_makes_room(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with opened(cluster, max_pending=WORKERS + 1) as executor:
        held = Gate(executor, gate)
        held.fill()
        waiting = held.hold()
        assert waiting.cancel()
        last = held.hold()
        gate.touch()
        assert last.result(BOUND)


def test_a_callback_may_submit_at_the_limit(cluster: Cluster) -> None:
    """It runs on the thread that would make room for it."""
    with opened(cluster, max_pending=1) as executor:
        seen: list[int] = []
        over = threading.Event()

        def again(future: Future[int]) -> None:
            seen.append(future.result())
            if len(seen) == 5:
                over.set()
            else:
                executor.submit(calls_for_tests.double, len(seen)).add_done_callback(again)

        executor.submit(calls_for_tests.double, 0).add_done_callback(again)
        assert over.wait(BOUND)
    assert seen == [0, 2, 4, 6, 8]


class Counting:
    """An endless supply of numbers that knows how many were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        while True:
            self.taken += 1
            yield self.taken - 1


@pytest.mark.parametrize(("options", "ahead"), [({"buffersize": 5}, 5), ({"buffersize": 1}, 1), ({}, 50)])
def test_map_takes_its_inputs_as_results_are_taken(
    cluster: Cluster, options: dict[str, int], ahead: int
) -> None:
    numbers = Counting()
    with opened(cluster, max_pending=50) as executor:
        results = executor.map(calls_for_tests.double, numbers, timeout=BOUND, **options)
        assert numbers.taken == ahead
        assert list(itertools.islice(results, 100)) == [2 * n for n in range(100)]
        assert numbers.taken == 100 + ahead
        results.close()  # type: ignore[attr-defined]


def test_map_in_chunks_takes_whole_chunks(cluster: Cluster) -> None:
    numbers = Counting()
    with opened(cluster) as executor:
        results = executor.map(calls_for_tests.double, numbers, chunksize=10, buffersize=2)
        assert numbers.taken == 20
        assert list(itertools.islice(results, 25)) == [2 * n for n in range(25)]
        results.close()  # type: ignore[attr-defined]
        assert list(executor.map(calls_for_tests.double, range(7), chunksize=3)) == [0, 2, 4, 6, 8, 10, 12]
        assert list(executor.map(pow, [2, 3], [5, 2, 9])) == [32, 9]


def test_map_has_a_timeout_and_cancels_what_waits_at_its_end(executor: CeleryExecutor, gate: Gate) -> None:
    futures = gate.fill()
    results = executor.map(calls_for_tests.hold, [str(gate.path)] * 5, timeout=0.1)
    with pytest.raises(TimeoutError):
        next(results)
    gate.open()
    assert all(future.result(BOUND) for future in futures)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"chunksize": 0}, ValueError),
        ({"buffersize": 0}, ValueError),
        ({"buffersize": -1}, ValueError),
        ({"buffersize": "5"}, TypeError),
    ],
)
def test_map_refuses_what_makes_no_sense(
    executor: CeleryExecutor, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        executor.map(calls_for_tests.double, [1], **options)


@pytest.mark.parametrize(
    "options", [{"max_workers": 0}, {"batch": 0}, {"batch": "all"}, {"max_pending": 0}, {"patience": 0}]
)
def test_an_executor_refuses_what_makes_no_sense(cluster: Cluster, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        opened(cluster, **options)
    with pytest.raises(ValueError, match="time_limit"), opened(cluster) as executor:
        executor.with_options(time_limit=0)


def test_calls_are_not_stuck_behind_a_long_one_in_their_batch(executor: CeleryExecutor, gate: Gate) -> None:
    """A call that turns out to be long hands back those after it, and those before it are delivered."""
    opened_gate = gate.path.with_name("open")
    opened_gate.touch()
    for _ in range(3):  # what is expected of the function: an instant, so its calls travel in company
        list(executor.map(calls_for_tests.hold, [str(opened_gate)] * 50))
    gates = [gate.path if n == 50 else opened_gate for n in range(150)]
    futures = [executor.submit(calls_for_tests.hold, str(path)) for path in gates]
    _done, waiting = concurrent.futures.wait([*futures[:50], *futures[51:]], BOUND)
    assert not waiting
    assert not futures[50].done()
    gate.open()
    assert all(future.result(BOUND) for future in futures)


# Shutdown.


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("cancel_futures", [True, False])
def test_shutdown_in_all_its_forms(
    cluster: Cluster, tmp_path: Path, wait: bool, cancel_futures: bool
) -> None:
    executor = opened(cluster)
    gate = Gate(executor, tmp_path / "gate")
    held = gate.fill()
    futures = [executor.submit(calls_for_tests.double, n) for n in range(20)]
    if not wait:
        executor.shutdown(wait=False, cancel_futures=cancel_futures)
        assert not any(future.done() for future in held)
        with pytest.raises(RuntimeError, match="shutdown"):
            executor.submit(calls_for_tests.double, 1)
        gate.open()
    else:
        threading.Timer(0.2, gate.open).start()
        executor.shutdown(cancel_futures=cancel_futures)
        assert all(future.done() for future in held + futures)  # type: ignore[operator]
    concurrent.futures.wait(held + futures, BOUND)  # type: ignore[operator]
    assert all(future.result(BOUND) for future in held)
    if cancel_futures:
        assert all(future.cancelled() for future in futures)
    else:
        assert [future.result(BOUND) for future in futures] == [2 * n for n in range(20)]
    until(lambda: not any(t.is_alive() for t in executor._dispatcher._threads), "its threads to end")


def test_shutdown_lets_go_of_those_who_wait_for_room(cluster: Cluster, tmp_path: Path) -> None:
    executor = opened(cluster, max_pending=1)
    gate = Gate(executor, tmp_path / "gate")
    gate.hold()
    errors: list[BaseException] = []

    def submit() -> None:
        try:
            gate.hold()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=submit)
    thread.start()
    executor.shutdown(wait=False)
    thread.join(BOUND)
    gate.open()
    executor.shutdown()
    assert len(errors) == 1


def test_a_killed_executor_fails_what_runs(cluster: Cluster, tmp_path: Path) -> None:
    executor = opened(cluster)
    gate = Gate(executor, tmp_path / "gate")
    held = gate.fill()
    waiting = [gate.hold() for _ in range(20)]
    executor.kill()
    gate.open()
    assert all(isinstance(future.exception(BOUND), ShutDownError) for future in held)
    assert all(future.done() for future in waiting)


def test_an_executor_that_is_dropped_ends_when_its_calls_have(cluster: Cluster) -> None:
    executor = opened(cluster)
    future = executor.submit(calls_for_tests.double, 4)
    threads, dropped = executor._dispatcher._threads, weakref.ref(executor)
    del executor
    gc.collect()
    assert dropped() is None
    assert future.result(BOUND) == 8
    until(lambda: not any(thread.is_alive() for thread in threads), "its threads to end")


def test_an_executor_that_is_dropped_takes_its_cluster_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    before = set(psutil.Process().children(recursive=True))
    executor = CeleryExecutor(1)
    family = set(psutil.Process().children(recursive=True)) - before
    assert family
    del executor
    gc.collect()
    until(
        lambda: gone(family),
        "its cluster to go",
    )


def test_calls_that_are_outstanding_at_the_interpreters_exit_are_finished(
    cluster: Cluster, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import sys
            from calls_for_tests import append
            from producer import CeleryExecutor
            executor = CeleryExecutor()
            for n in range(50):
                executor.submit(append, "trace", ".").add_done_callback(
                    lambda f: sys.stdout.write(f"{f.exception()}\\n")  # in one piece: two threads write
                )
        """)
    )
    shell = {
        "CELERY_BROKER_URL": cluster.url,
        "BREAKEVEN_QUEUE": cluster.queue,
        "BREAKEVEN_KEY_FILE": str(cluster.key_file),
    }
    trace = tmp_path / "trace"
    script.write_text(script.read_text().replace('"trace"', repr(str(trace))))
    assert run(script, **shell).split() == ["None"] * 50
    assert trace.read_text() == "." * 50


# No silence.


def test_no_worker_is_told_within_patience(cluster: Cluster) -> None:
    with opened(cluster, queue="of-nobody", patience=0.5) as executor:
        future = executor.submit(calls_for_tests.double, 1)
        error = future.exception(BOUND)
        assert isinstance(error, NoWorkersError)
        assert "celery -A worker worker" in str(error)
        with pytest.raises(NoWorkersError):
            executor.submit(calls_for_tests.double, 1)
    client = broker.connect(cluster.url)
    client.delete("of-nobody")
    client.close()


def test_no_broker_is_told_within_patience() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    with CeleryExecutor(url=url, queue="q", key_file=None, patience=0.5) as executor:
        error = executor.submit(calls_for_tests.double, 1).exception(BOUND)
    assert isinstance(error, BrokerUnavailableError)
    assert "secret" not in str(error)


def test_another_key_is_told_and_nothing_runs(cluster: Cluster, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with opened(cluster, key_file=tmp_path / "another.key") as executor:
        error = executor.submit(calls_for_tests.touch, str(trace)).exception(BOUND)
        assert isinstance(error, KeyMismatchError)
        assert "BREAKEVEN_KEY_FILE" in str(error)
        with pytest.raises(KeyMismatchError):
            executor.wait_ready(BOUND)
    assert not trace.exists()


def test_those_who_wait_for_room_are_told_when_the_cluster_is_given_up(cluster: Cluster) -> None:
    with opened(cluster, queue="of-nobody", patience=0.5, max_pending=1) as executor:
        executor.submit(calls_for_tests.double, 1)
        with pytest.raises(NoWorkersError):
            executor.submit(calls_for_tests.double, 1)
    client = broker.connect(cluster.url)
    client.delete("of-nobody")
    client.close()


# With asyncio.


def test_a_future_can_be_awaited(executor: CeleryExecutor) -> None:
    async def main() -> list[int]:
        futures = [asyncio.wrap_future(executor.submit(calls_for_tests.double, n)) for n in range(50)]
        return await asyncio.gather(*futures)

    assert asyncio.run(main()) == [2 * n for n in range(50)]


def test_an_awaited_future_that_is_cancelled_never_runs(
    executor: CeleryExecutor, gate: Gate, tmp_path: Path
) -> None:
    gate.fill()
    trace = tmp_path / "trace"

    async def main() -> None:
        waiting = asyncio.wrap_future(executor.submit(calls_for_tests.touch, str(trace)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    gate.open()
    assert executor.submit(calls_for_tests.double, 1).result(BOUND) == 2
    assert not trace.exists()


def test_nothing_is_left_in_the_broker(cluster: Cluster) -> None:
    """Replies that were read are deleted at once; of a batch stays a tombstone, for two minutes at most."""
    client = broker.connect(cluster.url)
    with opened(cluster) as executor:
        assert len(list(executor.map(calls_for_tests.double, range(500)))) == 500
        name = executor._dispatcher.id
    assert not client.exists(keys.executor(name))
    assert not list(client.scan_iter(f"{keys.result(name)}*"))
    left = list(client.scan_iter(f"breakeven:batch:{name}*"))
    assert left
    assert all(0 < client.ttl(key) <= 120 for key in left)
    client.close()


def test_flower_is_told_what_a_person_would_write(cluster: Cluster, gate: Gate) -> None:
    """The broker holds nothing in clear but the envelope: the functions' names and shortened arguments."""
    gate.fill()
    futures = [gate.executor.submit(calls_for_tests.double, 21) for _ in range(30)]
    client = broker.connect(cluster.url)
    until(lambda: client.llen(cluster.queue), "a message to wait")
    message = json.loads(client.lrange(cluster.queue, 0, 0)[0])
    client.close()
    assert "double" in message["headers"]["argsrepr"]
    gate.open()
    assert all(future.result(BOUND) == 42 for future in futures)
