"""The executor's future is one of the standard library's, though it is made with fewer objects."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, as_completed, wait
from typing import Any

import pytest

from producer.dispatch.future import CallFuture

BOUND = 20.0


def made() -> CallFuture:
    nobody: Any = None
    return CallFuture(nobody, print, ((), {}), None)


def in_thread(do: Any) -> tuple[threading.Thread, list[Any]]:
    """Start a thread that notes what `do` returns."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(do()), daemon=True)
    thread.start()
    return thread, results


def waiting(future: Future[Any]) -> bool:
    with future._condition:
        return bool(future._condition._waiters)  # type: ignore[attr-defined]


def until(condition: Any) -> None:
    rest = threading.Event()
    for _ in range(int(BOUND / 0.01)):
        if condition():
            return
        rest.wait(0.01)
    raise AssertionError("it did not come to pass")


def test_it_has_every_attribute_that_the_standard_librarys_has() -> None:
    """Its __init__ sets them itself: a Python that adds one has to be noticed."""
    standard, ours = vars(Future()), vars(made())
    assert standard.keys() <= ours.keys()
    same = standard.keys() - {"_condition"}
    assert {name: ours[name] for name in same} == {name: standard[name] for name in same}


def test_its_condition_has_every_method_that_the_standard_librarys_has() -> None:
    condition = made()._condition
    for name in dir(Future()._condition):
        assert hasattr(condition, name), name


@pytest.mark.parametrize("threads", [1, 3])
def test_all_who_wait_for_a_result_are_woken(threads: int) -> None:
    future = made()
    started = [in_thread(lambda: future.result(BOUND)) for _ in range(threads)]
    until(lambda: waiting(future) and len(future._condition._waiters) == threads)  # type: ignore[attr-defined]
    future.set_result(7)
    for thread, results in started:
        thread.join(BOUND)
        assert results == [7]


def test_who_gave_up_waiting_can_wait_again() -> None:
    future = made()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            future.result(0.001)
    thread, results = in_thread(lambda: future.result(BOUND))
    until(lambda: waiting(future))
    future.set_result("late")
    thread.join(BOUND)
    assert results == ["late"]


def test_wait_and_as_completed_take_it() -> None:
    futures = [made() for _ in range(3)]
    thread, results = in_thread(lambda: wait(futures, BOUND, FIRST_COMPLETED))
    futures[1].set_result(None)
    thread.join(BOUND)
    assert results[0].done == {futures[1]}
    futures[0].set_exception(LookupError())
    futures[2].set_result(None)
    assert wait(futures, BOUND, ALL_COMPLETED).not_done == set()
    assert set(as_completed(futures, BOUND)) == set(futures)


def test_callbacks_are_called_once_before_and_after_the_end() -> None:
    future, called = made(), []
    future.add_done_callback(lambda _: called.append("before"))
    future.set_result(None)
    future.add_done_callback(lambda _: called.append("after"))
    assert called == ["before", "after"]


def test_its_condition_is_not_waited_for_without_its_lock() -> None:
    with pytest.raises(RuntimeError):
        made()._condition.wait(0.001)


def test_it_costs_the_garbage_collector_half_of_the_standard_librarys() -> None:
    """Thousands are outstanding in a burst, and each collection looks at every object of them."""

    def tracked(make: Any) -> int:
        gc.collect()
        gc.disable()
        try:
            before = len(gc.get_objects())
            kept = [make() for _ in range(100)]
            return (len(gc.get_objects()) - before) // len(kept)
        finally:
            gc.enable()

    assert tracked(made) <= tracked(Future) / 2 + 1  # its call is the one
