"""One contract for every model: whoever holds an Executor need not know which one it is.

Each test runs on every model that this Python and machine can run; what differs between models stands in
the tests at the end.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import calls_for_tests
import psutil
import pytest
from waiting import BOUND, until

from producer.models import MODELS, Model
from worker.call import Call, Outcome, run, run_async

WORKERS = 2


@pytest.fixture(params=[name for name, model in MODELS.items() if model.missing() is None])
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]


@pytest.fixture
def executor(model: Model, request: pytest.FixtureRequest) -> Iterator[Executor]:
    with opened(model, request) as executor:
        yield executor


def opened(model: Model, request: pytest.FixtureRequest) -> Executor:
    return model.open(WORKERS, request.getfixturevalue("cluster") if model.on_cluster else None)


def of(model: Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """The variant of `function` that suits `model`."""
    return getattr(calls_for_tests, f"{function.__name__}_async") if model.asynchronous else function


def test_a_call_returns_its_value(model: Model, executor: Executor) -> None:
    assert executor.submit(of(model, calls_for_tests.double), 21).result(BOUND) == 42


def test_arguments_arrive_by_position_and_by_name(model: Model, executor: Executor) -> None:
    # `fn` and `self` are names of submit's own parameters: the caller may still use them.
    future = executor.submit(of(model, calls_for_tests.given), 1, [2], fn="f", key={"a": None})
    args, kwargs = future.result(BOUND)
    assert tuple(args) == (1, [2])
    assert kwargs == {"fn": "f", "key": {"a": None}}


def test_what_a_call_raises_is_raised_by_its_result(model: Model, executor: Executor) -> None:
    future = executor.submit(of(model, calls_for_tests.fail), "no such thing")
    with pytest.raises(LookupError, match="no such thing"):
        future.result(BOUND)


def test_a_failing_call_spoils_no_other(model: Model, executor: Executor) -> None:
    double, fail = of(model, calls_for_tests.double), of(model, calls_for_tests.fail)
    futures = [executor.submit(fail if i % 3 == 0 else double, i) for i in range(30)]
    assert [future.exception(BOUND) is None for future in futures] == [i % 3 != 0 for i in range(30)]
    assert [f.result() for i, f in enumerate(futures) if i % 3] == [2 * i for i in range(30) if i % 3]


def test_an_outcome_tells_value_time_and_place(model: Model, executor: Executor) -> None:
    entry = run_async if model.asynchronous else run
    before = time.time()
    outcome = executor.submit(entry, Call(of(model, calls_for_tests.double), (4,))).result(BOUND)
    assert isinstance(outcome, Outcome)
    assert (outcome.value, outcome.error) == (8, None)
    assert before <= outcome.started <= outcome.finished <= time.time()
    assert outcome.worker.count("/") == 2


def test_an_outcome_carries_the_error_with_its_traceback(model: Model, executor: Executor) -> None:
    entry = run_async if model.asynchronous else run
    outcome = executor.submit(entry, Call(of(model, calls_for_tests.fail), ("gone",))).result(BOUND)
    assert isinstance(outcome.error, LookupError)
    assert "raise LookupError(message)" in outcome.traceback


def test_map_keeps_the_order_of_its_inputs(model: Model, executor: Executor) -> None:
    double = of(model, calls_for_tests.double)
    assert list(executor.map(double, range(50), timeout=BOUND)) == [2 * i for i in range(50)]


def test_many_calls_each_get_their_own_value(model: Model, executor: Executor) -> None:
    double = of(model, calls_for_tests.double)
    futures = [executor.submit(double, i) for i in range(500)]
    _done, not_done = concurrent.futures.wait(futures, BOUND)
    assert not not_done
    assert [future.result() for future in futures] == [2 * i for i in range(500)]


def test_as_completed_and_callbacks_see_every_future_once(model: Model, executor: Executor) -> None:
    double = of(model, calls_for_tests.double)
    called: list[Future[int]] = []
    futures = [executor.submit(double, i) for i in range(20)]
    for future in futures:
        future.add_done_callback(called.append)
    completed = list(concurrent.futures.as_completed(futures, BOUND))
    until(lambda: len(called) == 20, "the callbacks")
    assert set(completed) == set(called) == set(futures)
    assert len(completed) == 20


def test_submitting_from_several_threads_loses_nothing(model: Model, executor: Executor) -> None:
    double = of(model, calls_for_tests.double)
    futures: list[Future[int]] = []

    def submit(start: int) -> None:
        futures.extend(executor.submit(double, start + i) for i in range(25))

    threads = [threading.Thread(target=submit, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    expected = sorted(2 * (100 * n + i) for n in range(4) for i in range(25))
    assert sorted(future.result(BOUND) for future in futures) == expected


def test_shutdown_waits_for_calls_and_then_refuses_more(model: Model, request: pytest.FixtureRequest) -> None:
    executor = opened(model, request)
    where = of(model, calls_for_tests.where)
    futures = [executor.submit(where, 0.05) for _ in range(4)]
    executor.shutdown()
    assert all(future.done() for future in futures)
    assert all(future.exception() is None for future in futures)
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(where, 0)


def test_shutdown_twice_is_harmless(model: Model, request: pytest.FixtureRequest) -> None:
    executor = opened(model, request)
    executor.shutdown()
    executor.shutdown(wait=False)


def test_a_waiting_call_can_be_cancelled(model: Model, executor: Executor, tmp_path: Path) -> None:
    if model.width == "one" or model.name == "thread-per-request":
        future = executor.submit(calls_for_tests.double, 1)
        assert not future.cancel()  # no call ever waits
        return
    hold = of(model, calls_for_tests.hold)
    gate = tmp_path / "gate"
    busy = [executor.submit(hold, str(gate)) for _ in range(50)]
    try:
        cancelled = busy[-1].cancel()
        assert cancelled
        with pytest.raises(concurrent.futures.CancelledError):
            busy[-1].result(BOUND)
    finally:
        gate.touch()
    assert all(future.result(BOUND) for future in busy[:-1])


def test_shutdown_can_cancel_what_waits(model: Model, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if model.width == "one" or model.name == "thread-per-request":
        return  # no call ever waits
    executor = opened(model, request)
    gate = tmp_path / "gate"
    futures = [executor.submit(of(model, calls_for_tests.hold), str(gate)) for _ in range(50)]
    executor.shutdown(wait=False, cancel_futures=True)
    gate.touch()
    # Not `wait`: the standard library's pools never notify it of what their shutdown cancelled.
    until(lambda: all(future.done() for future in futures), "every call to end")
    assert futures[-1].cancelled()


# What differs between the models: on which worker a call runs, and how many there are.


def places(model: Model, executor: Executor, calls: int = 12) -> list[tuple[int, str]]:
    """Where each of `calls` ran: (process, thread)."""
    where = of(model, calls_for_tests.where)
    answers = [future.result(BOUND) for future in [executor.submit(where, 0.02) for _ in range(calls)]]
    return [(int(place.split("/")[1]), place.split("/")[2]) for place in answers]


def test_each_model_runs_its_calls_where_it_says(model: Model, executor: Executor) -> None:
    found = places(model, executor)
    processes, threads = {process for process, _ in found}, {thread for _, thread in found}
    mine = {os.getpid()}
    match model.name:
        case "sequential":
            assert (processes, threads) == (mine, {threading.current_thread().name})
        case "thread-per-request":
            assert processes == mine
            assert len(threads) == 12  # none is reused
        case "thread-pool" | "interpreter-pool":
            assert processes == mine
            assert len(threads) <= WORKERS
        case "event-loop":
            assert (processes, threads) == (mine, {"event-loop"})
        case "process-pool" | "broker-queue" | "broker-queue-batched":
            assert not processes & mine
            assert len(processes) <= WORKERS
        case name:
            pytest.fail(f"nobody says where {name} runs its calls")


@pytest.mark.parametrize("name", ["thread-per-request", "thread-pool", "process-pool", "event-loop"])
def test_submit_waits_when_too_many_calls_are_unfinished(name: str, tmp_path: Path) -> None:
    """Back-pressure: a producer that outruns its workers is slowed down, and fills no memory."""
    executor: Executor
    match name:
        case "thread-per-request":
            from producer.models.thread_per_request import ThreadPerRequestExecutor

            executor = ThreadPerRequestExecutor(max_threads=3)
        case "thread-pool":
            from producer.models.thread_pool import ThreadPoolExecutor

            executor = ThreadPoolExecutor(1, max_pending=3)
        case "process-pool":
            from producer.models.process_pool import ProcessPoolExecutor

            executor = ProcessPoolExecutor(1, max_pending=3)
        case _:
            from producer.models.event_loop import EventLoopExecutor

            executor = EventLoopExecutor(max_pending=3)
    hold = of(MODELS[name], calls_for_tests.hold)
    gate = tmp_path / "gate"
    futures = [executor.submit(hold, str(gate)) for _ in range(3)]
    fourth = threading.Thread(target=lambda: futures.append(executor.submit(hold, str(gate))))
    fourth.start()
    try:
        fourth.join(0.2)
        assert fourth.is_alive()
        assert len(futures) == 3
    finally:
        gate.touch()
    fourth.join(BOUND)
    assert len(futures) == 4
    assert all(future.result(BOUND) for future in futures)
    executor.shutdown()


def test_a_value_that_cannot_be_pickled_fails_its_call_alone() -> None:
    with MODELS["process-pool"].open(1, None) as executor:
        bad, good = executor.submit(calls_for_tests.unpicklable), executor.submit(calls_for_tests.double, 1)
        assert bad.exception(BOUND) is not None
        assert good.result(BOUND) == 2


def test_a_killed_process_pool_leaves_no_process(tmp_path: Path) -> None:
    from producer.models.process_pool import ProcessPoolExecutor

    executor = ProcessPoolExecutor(WORKERS)
    pids = {process for process, _ in places(MODELS["process-pool"], executor)}
    stuck = executor.submit(calls_for_tests.hold, str(tmp_path / "never"))
    until(stuck.running, "the call to be on its way")
    executor.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the worker processes to end")
    assert stuck.exception(BOUND) is not None


def test_a_cancelled_coroutine_is_interrupted_where_it_awaits(tmp_path: Path) -> None:
    """On the event loop a call that runs can be cancelled too: the loop owns it."""
    with MODELS["event-loop"].open(1, None) as executor:
        future = executor.submit(calls_for_tests.hold_async, str(tmp_path / "never"), 3600)
        executor.submit(calls_for_tests.double_async, 1).result(BOUND)  # the loop has begun the call before
        assert future.cancel()
