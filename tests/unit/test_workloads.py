"""The workloads do what they say, and fit the inputs that they bring."""

from __future__ import annotations

import asyncio
import hashlib
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.http_server import serving
from worker import workloads
from worker.workloads import WORKLOADS, Workload


@given(st.integers(-50, 50), st.integers(-50, 50))
def test_sum_adds_up_a_range_with_both_its_ends(start: int, length: int) -> None:
    n = start + abs(length)
    assert workloads.sum(n, start) == (start + n) * (n - start + 1) // 2


@given(st.integers(1, 500), st.integers(1, 500))
def test_sums_of_parts_add_up_to_the_whole(n: int, cut: int) -> None:
    middle = min(cut, n)
    assert workloads.sum(middle) + workloads.sum(n, middle + 1) == workloads.sum(n)


def test_digest_is_pbkdf2_as_others_compute_it() -> None:
    other = hashlib.pbkdf2_hmac("sha256", b"password", b"breakeven", 10)
    assert workloads.digest("password", 10) == other.hex()


def test_sleep_returns_what_it_slept() -> None:
    assert workloads.sleep(0.001) == 0.001
    assert asyncio.run(workloads.sleep_async(0.001)) == 0.001


def test_noop_returns_its_argument() -> None:
    assert workloads.noop(3) == 3
    assert asyncio.run(workloads.noop_async(3)) == 3


def test_fetch_returns_the_length_of_the_body_on_a_thread_and_on_a_loop() -> None:
    with serving() as url:
        plain = workloads.fetch(f"{url}/0.01")
        awaited = asyncio.run(workloads.fetch_async(f"{url}/0.01"))
    assert plain == awaited == len("after 0.01 s\n")


def test_fetch_of_a_page_that_is_not_there_raises_oserror() -> None:
    with serving() as url, pytest.raises(OSError, match="404"):
        workloads.fetch(f"{url}/nothing")


@pytest.fixture(params=WORKLOADS.values(), ids=list(WORKLOADS))
def workload(request: pytest.FixtureRequest) -> Workload:
    found: Workload = request.param
    return found


def test_every_workload_can_be_called_with_its_inputs(workload: Workload) -> None:
    for function in (workload.function, workload.async_function):
        if function is not None:
            for item in (*workload.inputs, *workload.quick_inputs):
                assert isinstance(item, tuple)
                inspect.signature(function).bind(*item)


def test_every_expected_result_has_its_input(workload: Workload) -> None:
    assert len(workload.expected) in (0, len(workload.inputs))
    assert len(workload.quick_expected) in (0, len(workload.quick_inputs))


def test_what_is_expected_is_what_comes_out(workload: Workload) -> None:
    """Of the smallest inputs: the largest take seconds."""
    inputs, expected = (
        (workload.quick_inputs, workload.quick_expected)
        if workload.quick_inputs
        else (workload.inputs, workload.expected)
    )
    if expected:
        assert workload.function is not None
        assert workload.function(*inputs[0]) == expected[0]
