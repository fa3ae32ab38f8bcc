"""A call is described as a person would write it, and ends in an outcome whatever it does."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.call import HOST, Call, Outcome, describe, here, host_of, run, run_async


def double(value: int) -> int:
    return 2 * value


def fail(message: str) -> None:
    raise LookupError(message)


def leave(code: int) -> None:
    sys.exit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


async def double_async(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


async def fail_async(message: str) -> None:
    await asyncio.sleep(0)
    raise LookupError(message)


async def leave_async(code: int) -> None:
    sys.exit(code)


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def ended(function: Callable[..., Any], *args: Any) -> Outcome:
    """How a call ends, of a plain function or of a coroutine function."""
    if asyncio.iscoroutinefunction(function):
        return asyncio.run(run_async(Call(function, args)))
    return run(Call(function, args))


@pytest.mark.parametrize("function", [double, double_async])
def test_the_value_is_in_the_outcome(function: Callable[..., Any]) -> None:
    outcome = ended(function, 21)
    assert (outcome.value, outcome.error, outcome.traceback) == (42, None, "")


@pytest.mark.parametrize("function", [fail, fail_async])
def test_what_is_raised_is_in_the_outcome(function: Callable[..., Any]) -> None:
    outcome = ended(function, "no such thing")
    assert isinstance(outcome.error, LookupError)
    assert outcome.value is None


@pytest.mark.parametrize("function", [fail, fail_async])
def test_the_traceback_shows_where_it_was_raised(function: Callable[..., Any]) -> None:
    assert "raise LookupError(message)" in ended(function, "gone").traceback


@pytest.mark.parametrize("function", [leave, leave_async])
def test_a_call_that_exits_fails_and_ends_nothing_else(function: Callable[..., Any]) -> None:
    """Else it would end a pool's process, or the event loop under all other calls."""
    outcome = ended(function, 3)
    assert isinstance(outcome.error, SystemExit)
    assert outcome.error.code == 3


def test_an_interrupt_is_no_outcome() -> None:
    """Ctrl-C is for the program, not for the call that happens to run."""
    with pytest.raises(KeyboardInterrupt):
        run(Call(interrupt))


def test_keyword_arguments_arrive() -> None:
    assert run(Call(double, kwargs={"value": 4})).value == 8


@pytest.mark.parametrize("function", [double, fail, double_async, fail_async])
def test_the_times_are_those_of_the_call(function: Callable[..., Any]) -> None:
    before = time.time()
    outcome = ended(function, 1)
    assert before <= outcome.started <= outcome.finished <= time.time()


def test_the_worker_is_host_process_and_thread() -> None:
    assert here() == f"{socket.gethostname()}/{os.getpid()}/{threading.current_thread().name}"


def test_each_thread_and_each_forked_process_has_a_name_of_its_own() -> None:
    """Names are made once for each thread; a fork must not go on under its parent's."""
    program = (
        "import os, threading, sys\n"
        "from worker.call import here\n"
        "names = [here()]\n"
        "thread = threading.Thread(target=lambda: names.append(here()), name='another')\n"
        "thread.start(); thread.join()\n"
        "print(*names, sep='\\n', flush=True)\n"
        "if os.fork() == 0:\n"
        "    print(here(), flush=True); os._exit(0)\n"
        "os.wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    main, thread, forked = (line.split("/") for line in done.stdout.splitlines())
    assert (main[2], thread[2]) == ("MainThread", "another")
    assert main[1] == thread[1] != forked[1]


def test_a_worker_is_on_the_host_that_its_name_begins_with() -> None:
    assert host_of(here()) == HOST
    assert host_of("") == ""


def test_an_outcome_names_its_worker() -> None:
    assert run(Call(double, (1,))).worker == here()


def test_calls_and_outcomes_can_be_pickled() -> None:
    """They cross to other processes."""
    call, outcome = Call(double, (1,), {}), Outcome(2, None, "", 1.0, 2.0, "host/1/MainThread")
    assert pickle.loads(pickle.dumps((call, outcome))) == (call, outcome)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (Call(double, (100_000,)), "double(100000)"),
        (Call(double, (), {"value": "x"}), "double(value='x')"),
        (Call(double, (1, "two"), {"three": None}), "double(1, 'two', three=None)"),
        (Call(Unspeakable.__repr__, ()), "__repr__()"),  # no class before it: it has to be short
        (Call(double, ("a" * 100,)), "double('aaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaa')"),
        (Call(double, ([1, 2, 3, 4, 5],)), "double([1, 2, 3, 4, ...])"),
    ],
)
def test_a_call_reads_like_source_text(call: Call, text: str) -> None:
    assert str(call) == text


def test_an_argument_without_a_repr_does_not_fail_the_call() -> None:
    assert "Unspeakable" in describe(double, (Unspeakable(),))


def test_a_number_too_long_to_be_written_does_not_fail_the_call() -> None:
    """Python refuses to write integers of more than some thousand digits."""
    assert describe(double, (10**5_000,)).startswith("double(<int")


def test_an_object_that_is_called_is_named_by_its_type() -> None:
    class Doubler:
        def __call__(self, value: int) -> int:
            return 2 * value

    assert describe(Doubler(), (1,)) == "Doubler(1)"


def test_a_call_of_run_reads_as_the_call_that_it_carries() -> None:
    assert describe(run, (Call(double, (1,)),)) == "double(1)"


@given(st.recursive(st.text() | st.integers() | st.binary(), lambda some: st.lists(some, max_size=9)))
def test_a_described_call_is_one_line_whatever_its_arguments(argument: object) -> None:
    assert len(describe(double, (argument,)).splitlines()) == 1
