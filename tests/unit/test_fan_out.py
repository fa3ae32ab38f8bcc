"""Fanning out: every input has its outcome, once, in order if wanted, in bounded memory, and never a hang."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from producer.experiments.fan_out import WINDOW, fan_out
from producer.experiments.job import Arguments, InputError
from producer.measurement.trace import Failure, StalledError
from producer.models.sequential import SequentialExecutor
from worker.call import Outcome, run

BOUND = 20  # seconds that nothing here comes near


def double(value: int) -> int:
    return 2 * value


def fail_if_odd(value: int) -> int:
    if value % 2:
        raise LookupError(value)
    return value


def interrupt(value: int) -> int:
    raise KeyboardInterrupt


def arguments(values: Iterable[Any]) -> Iterator[Arguments]:
    return (((value,), {}) for value in values)


def value_of(outcome: Outcome | Failure) -> Any:
    assert isinstance(outcome, Outcome)
    return outcome.value


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Calls may wait for it; at the end of a test it is open."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_every_input_has_its_outcome_in_order(pool: Executor) -> None:
    found = list(fan_out(pool, run, double, arguments(range(WINDOW + 200))))
    assert [index for index, _ in found] == list(range(WINDOW + 200))
    assert [value_of(outcome) for _, outcome in found] == [2 * i for i in range(WINDOW + 200)]


def test_unordered_every_input_has_its_outcome_once(pool: Executor) -> None:
    found = list(fan_out(pool, run, double, arguments(range(500)), ordered=False))
    assert sorted((index, value_of(outcome)) for index, outcome in found) == [(i, 2 * i) for i in range(500)]


def test_keyword_arguments_arrive(pool: Executor) -> None:
    ((_, outcome),) = fan_out(pool, run, double, [((), {"value": 4})])
    assert value_of(outcome) == 8


def test_no_inputs_have_no_outcomes(pool: Executor) -> None:
    assert list(fan_out(pool, run, double, [])) == []


def test_a_failed_call_spoils_no_other(pool: Executor) -> None:
    found = list(fan_out(pool, run, fail_if_odd, arguments(range(10))))
    assert [outcome.error is None for _, outcome in found] == [True, False] * 5


def test_ordered_a_slow_first_call_holds_its_followers_back(pool: Executor, gate: threading.Event) -> None:
    def wait_if_first(value: int) -> int:
        if value == 0:
            gate.wait(BOUND)
        return value

    ended = threading.Semaphore(0)
    found = fan_out(pool, run, wait_if_first, arguments(range(5)), on_done=ended.release)
    got: queue.SimpleQueue[int] = queue.SimpleQueue()
    reader = threading.Thread(target=lambda: [got.put(index) for index, _ in found])
    reader.start()
    for _ in range(4):  # all but the first one
        assert ended.acquire(timeout=BOUND)
    assert got.empty()
    gate.set()
    reader.join(BOUND)
    assert [got.get_nowait() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_unordered_a_slow_first_call_holds_nothing_back(pool: Executor, gate: threading.Event) -> None:
    def wait_if_first(value: int) -> int:
        if value == 0:
            gate.wait(BOUND)
        return value

    found = fan_out(pool, run, wait_if_first, arguments(range(5)), ordered=False)
    before = {next(found)[0] for _ in range(4)}
    gate.set()
    assert before == {1, 2, 3, 4}
    assert [index for index, _ in found] == [0]


def test_each_ended_call_is_announced_once_from_the_callers_thread(pool: Executor) -> None:
    threads = []
    list(
        fan_out(
            pool, run, double, arguments(range(50)), on_done=lambda: threads.append(threading.get_ident())
        )
    )
    assert threads == [threading.get_ident()] * 50


@pytest.mark.parametrize("ordered", [True, False])
def test_inputs_are_read_no_further_than_the_window(ordered: bool) -> None:
    """Ten million inputs need no more memory than ten. A reader that stops stops the reading."""
    read = 0
    reached = threading.Event()

    def endless() -> Iterator[Arguments]:
        nonlocal read
        while True:
            read += 1
            if read == WINDOW + 2:
                reached.set()
            yield (read,), {}

    with ThreadPoolExecutor(2) as pool:
        found = fan_out(pool, run, double, endless(), ordered=ordered)
        next(found)
        next(found)  # only now the first one's slot is free
        assert reached.wait(BOUND)
        # The input after the window is read, and waits for a slot; no state tells that none follows it.
        assert not threading.Event().wait(0.1)
        assert read == WINDOW + 2
        found.close()


def test_results_come_while_inputs_still_do(pool: Executor) -> None:
    """A stream: whoever writes inputs may wait for the results of those before."""
    wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    found = fan_out(pool, run, double, arguments(iter(wanted.get, None)))
    for value in range(5):
        wanted.put(value)
        index, outcome = next(found)
        assert (index, value_of(outcome)) == (value, 2 * value)
    wanted.put(None)
    assert list(found) == []


def test_an_error_of_the_inputs_comes_after_the_outcomes_of_those_before_it(pool: Executor) -> None:
    def unreadable() -> Iterator[Arguments]:
        yield from arguments(range(3))
        raise InputError("line 4: not JSON")

    found = fan_out(pool, run, double, unreadable())
    assert [value_of(outcome) for _, outcome in (next(found) for _ in range(3))] == [0, 2, 4]
    with pytest.raises(InputError, match="line 4"):
        next(found)


def test_an_executor_that_refuses_ends_it_after_the_outcomes_before() -> None:
    executor = SequentialExecutor()

    def then_closed() -> Iterator[Arguments]:
        yield (1,), {}
        executor.shutdown()
        yield (2,), {}
        yield (3,), {}

    found = fan_out(executor, run, double, then_closed())
    assert value_of(next(found)[1]) == 2
    assert isinstance(next(found)[1], Failure)
    with pytest.raises(RuntimeError, match="shutdown"):
        next(found)


def test_an_interrupt_of_a_call_ends_it_instead_of_being_waited_for() -> None:
    """The sequential model runs calls on the feeder's thread; what ends that must not end in silence."""
    found = fan_out(SequentialExecutor(), run, interrupt, arguments(range(3)))
    with pytest.raises(KeyboardInterrupt):
        next(found)


def test_calls_that_never_end_are_given_up_as_failures_and_ended_ones_kept(
    pool: Executor, gate: threading.Event
) -> None:
    def wait_if_odd(value: int) -> int:
        if value % 2:
            gate.wait(BOUND)
        return value

    outcomes: dict[int, Outcome | Failure] = {}
    with pytest.raises(StalledError, match=r"no call ended for 0\.5 s"):
        outcomes.update(fan_out(pool, run, wait_if_odd, arguments(range(4)), timeout=0.5))
    assert {index: isinstance(outcome, Failure) for index, outcome in outcomes.items()} == {
        0: False,
        1: True,
        2: False,
        3: True,
    }


def test_waiting_for_inputs_is_no_stall(pool: Executor) -> None:
    """The timeout is for calls; input may come when it likes."""
    more = threading.Event()

    def slow() -> Iterator[Arguments]:
        yield (1,), {}
        more.wait(0.5)  # several timeouts; nobody sets it
        yield (2,), {}

    found = list(fan_out(pool, run, double, slow(), timeout=0.1))
    assert [value_of(outcome) for _, outcome in found] == [2, 4]


def test_a_call_has_the_whole_timeout_however_late_its_input_came(pool: Executor) -> None:
    """A wait that was for input, at its beginning, is no stall of the call that came near its end."""
    worked = threading.Event()

    def slow() -> Iterator[Arguments]:
        threading.Event().wait(0.8)
        yield (1,), {}
        worked.wait(BOUND)  # nor is it the end of the inputs that ends the wait

    def work(value: int) -> int:
        threading.Event().wait(0.4)
        worked.set()
        return value

    found = list(fan_out(pool, run, work, slow(), timeout=1.0))
    assert [value_of(outcome) for _, outcome in found] == [1]


def test_a_reader_that_leaves_ends_the_feeder(pool: Executor) -> None:
    left = threading.Event()

    def endless() -> Iterator[Arguments]:
        try:
            value = 0
            while True:
                yield (value,), {}
                value += 1
        finally:
            left.set()

    found = fan_out(pool, run, double, endless())
    next(found)
    found.close()
    feeders = [thread for thread in threading.enumerate() if thread.name == "feeder"]
    for feeder in feeders:
        feeder.join(BOUND)
    assert left.wait(BOUND)
