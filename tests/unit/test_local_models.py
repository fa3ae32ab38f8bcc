"""The local models beyond the contract of all models: bounds, clean-up, what each does on its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes_for_tests import left

from producer.models import MODELS, Model, abandon, interpreter_pool
from producer.models.event_loop import EventLoopExecutor
from producer.models.process_pool import ProcessPoolExecutor
from producer.models.sequential import SequentialExecutor
from producer.models.thread_per_request import ThreadPerRequestExecutor
from producer.models.thread_pool import ThreadPoolExecutor
from worker import workloads

BOUND = 20  # seconds that nothing here comes near


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, f"waited {BOUND} s for {what}"
        time.sleep(0.005)


# the table


def test_sequential_comes_first() -> None:
    """The first round of a comparison keeps this order, and what follows is measured against sequential."""
    assert next(iter(MODELS)) == "sequential"


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_a_model_is_found_under_its_own_name(model: Model) -> None:
    assert MODELS[model.name] is model


@pytest.mark.parametrize(
    ("name", "at_once"),
    [("sequential", 1), ("thread-pool", 4), ("process-pool", 4), ("event-loop", 10), ("broker-queue", 4)],
)
def test_a_model_knows_how_many_of_ten_calls_four_workers_have_in_progress(name: str, at_once: int) -> None:
    assert MODELS[name].at_once(workers=4, calls=10) == at_once


def test_no_more_calls_are_in_progress_than_there_are() -> None:
    assert MODELS["thread-pool"].at_once(workers=4, calls=3) == 3


def test_the_event_loop_needs_a_coroutine_function() -> None:
    why = MODELS["event-loop"].unavailable(workloads.sum, None)
    assert why == "needs a coroutine function (async def)"


@pytest.mark.parametrize("name", ["sequential", "thread-pool", "broker-queue"])
def test_the_other_models_need_a_plain_function(name: str) -> None:
    why = MODELS[name].unavailable(None, workloads.noop_async)
    assert why is not None
    assert why.startswith("needs a plain function")


def test_a_model_that_fits_is_available() -> None:
    assert MODELS["thread-pool"].unavailable(workloads.sum, None) is None


def test_an_interpreter_pool_is_there_or_says_what_is_missing() -> None:
    why = interpreter_pool.missing()
    if sys.version_info >= (3, 14):
        assert why is None
        return
    assert why == f"needs Python 3.14 or later; this is 3.{sys.version_info.minor}"
    with pytest.raises(RuntimeError, match=r"an interpreter pool needs Python 3\.14"):
        interpreter_pool.interpreter_pool(1)


def test_the_table_is_there_without_loading_what_only_some_models_need() -> None:
    """`--help` and completion have to answer at once."""
    code = "import sys, producer.cli; print({'celery', 'numpy', 'rich', 'psutil'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# the bound


@pytest.mark.parametrize(
    "make",
    [
        lambda: ThreadPoolExecutor(1, max_pending=0),
        lambda: ProcessPoolExecutor(1, max_pending=0),
        lambda: EventLoopExecutor(max_pending=0),
        lambda: ThreadPerRequestExecutor(max_threads=0),
    ],
)
def test_a_bound_below_one_is_refused(make: Callable[[], Executor]) -> None:
    """It would wait for ever."""
    with pytest.raises(ValueError, match="must be at least 1, not 0"):
        make()


def test_a_refused_call_takes_no_room() -> None:
    executor = ThreadPoolExecutor(1, max_pending=1)
    executor.shutdown()
    for _ in range(3):  # the second would wait for ever if the first had kept its place
        with pytest.raises(RuntimeError, match="shutdown"):
            executor.submit(workloads.noop, 1)


def test_a_failed_call_gives_its_room_back() -> None:
    with ThreadPoolExecutor(1, max_pending=1) as executor:
        assert isinstance(executor.submit(workloads.sleep, "x").exception(BOUND), TypeError)
        assert executor.submit(workloads.noop, 2).result(BOUND) == 2


def test_a_cancelled_call_gives_its_room_back() -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1, max_pending=2) as executor:
        try:
            executor.submit(gate.wait, BOUND)
            assert executor.submit(workloads.noop, 1).cancel()
            last = executor.submit(workloads.noop, 2)  # room for it, because one was cancelled
        finally:
            gate.set()
        assert last.result(BOUND) == 2


# sequential


def test_sequential_has_run_the_call_when_submit_returns() -> None:
    assert SequentialExecutor().submit(workloads.noop, 3).done()


def test_sequential_lets_an_interrupt_of_the_call_through() -> None:
    """Ctrl-C comes while a call runs, in the caller's own thread."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SequentialExecutor().submit(interrupt)


# thread per request


def test_a_system_without_a_thread_left_refuses_the_call_and_no_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ThreadPerRequestExecutor(max_threads=1) as executor:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                executor.submit(workloads.noop, 1)
        assert executor.submit(workloads.noop, 2).result(BOUND) == 2


# the event loop


def test_the_event_loop_runs_a_plain_function_too() -> None:
    with EventLoopExecutor() as executor:
        assert executor.submit(workloads.noop, 3).result(BOUND) == 3


def test_the_event_loop_runs_all_calls_at_once() -> None:
    """Each call waits for all others to have begun."""
    count = 50
    begun = 0

    async def wait_for_all() -> int:
        nonlocal begun
        begun += 1
        while begun < count:
            await asyncio.sleep(0)
        return begun

    with EventLoopExecutor() as executor:
        futures = [executor.submit(wait_for_all) for _ in range(count)]
        assert [future.result(BOUND) for future in futures] == [count] * count


def test_a_cancelled_coroutine_cleans_up_before_shutdown_returns() -> None:
    begun, cleaned = threading.Event(), []

    async def work() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with EventLoopExecutor() as executor:
        future = executor.submit(work)
        assert begun.wait(BOUND)
        future.cancel()
    assert cleaned == [True]


def test_a_shut_down_event_loop_has_no_thread() -> None:
    executor = EventLoopExecutor()
    executor.submit(workloads.noop_async, 1).result(BOUND)
    executor.shutdown()
    assert "event-loop" not in {thread.name for thread in threading.enumerate()}


# the process pool


def interrupted(path: str) -> bool:
    """Send Ctrl-C's signal to this process, and tell that it is still there."""
    os.kill(os.getpid(), signal.SIGINT)
    Path(path).touch()
    return True


def test_a_workers_process_leaves_ctrl_c_to_the_producer(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1) as executor:
        assert executor.submit(interrupted, str(tmp_path / "there")).result(BOUND)


def test_ctrl_c_at_the_birth_of_a_pool_s_processes_ends_none_of_them() -> None:
    """It reaches all of a terminal's processes, and what has just begun to be one can't ignore it yet."""
    code = (
        "import os, signal\n"
        "from multiprocessing import util\n"
        "from producer.models.process_pool import ProcessPoolExecutor\n"
        "def spawned(*arguments, spawn=util.spawnv_passfds):\n"
        "    pid = spawn(*arguments)\n"
        "    os.kill(pid, signal.SIGINT)\n"
        "    return pid\n"
        "util.spawnv_passfds = spawned\n"
        "with ProcessPoolExecutor(1) as pool:\n"
        "    print(pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result(20))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=BOUND)
    assert (done.stdout, done.stderr) == ("set()\n", "")  # what a call itself starts is held back nothing


def test_ctrl_c_while_a_process_starts_leaves_none_that_the_pool_does_not_know() -> None:
    """It comes when the process is there already, and its pool has not been told of it."""
    code = (
        "import os, signal, time\n"
        "from multiprocessing import forkserver\n"
        "import psutil\n"
        "from producer.models.process_pool import ProcessPoolExecutor\n"
        "def interrupted(descriptor, read=forkserver.read_signed):\n"
        "    forkserver.read_signed = read\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return read(descriptor)\n"
        "forkserver.read_signed = interrupted\n"
        "pool = ProcessPoolExecutor(1)\n"
        "try:\n"
        "    pool.submit(os.getpid)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
        "pool.kill()\n"
        "helpers = psutil.Process().children()\n"
        "end = time.monotonic() + 10\n"
        "while (left := [it for one in helpers for it in one.children()]) and time.monotonic() < end:\n"
        "    time.sleep(0.01)\n"
        "print(len(helpers) > 0, len(left))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=BOUND)
    assert (done.stdout, done.stderr) == ("interrupted\nTrue 0\n", "")


def test_a_worker_that_dies_breaks_the_pool_instead_of_hanging_it() -> None:
    with ProcessPoolExecutor(1) as executor:
        future = executor.submit(os._exit, 3)
        assert isinstance(future.exception(BOUND), BrokenExecutor)
        with pytest.raises(BrokenExecutor):
            executor.submit(workloads.noop, 1)


def test_workers_leave_with_a_producer_that_is_killed() -> None:
    """Killed, it can stop nobody."""
    code = (
        "import os, sys, time\n"
        "from producer.models.process_pool import ProcessPoolExecutor\n"
        "from worker.workloads import sleep\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(sleep, 60)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as producer:
        assert producer.stdout is not None
        worker = psutil.Process(int(producer.stdout.readline()))
        children = psutil.Process(producer.pid).children(recursive=True)
        producer.kill()
    assert worker in children
    assert left(children) == []


# giving up


class Recorder(Executor):
    def __init__(self) -> None:
        self.how: list[Any] = []

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.how.append((wait, cancel_futures))


def test_what_is_abandoned_is_not_waited_for_and_its_calls_are_cancelled() -> None:
    executor = Recorder()
    abandon(executor)
    assert executor.how == [(False, True)]


def test_abandoning_a_process_pool_ends_its_processes() -> None:
    executor = ProcessPoolExecutor(1)
    worker = psutil.Process(executor.submit(os.getpid).result(BOUND))
    futures: list[Future[float]] = [executor.submit(workloads.sleep, 60) for _ in range(5)]
    abandon(executor)
    until(lambda: all(future.done() for future in futures), "every call to end")
    until(lambda: not worker.is_running(), "the worker to end")
    assert all(
        future.cancelled() or isinstance(future.exception(), BrokenExecutor | CancelledError)
        for future in futures
    )
