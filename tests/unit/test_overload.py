"""What an overload says, of legs that are made up; and how a capacity is found."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from runs_for_tests import ENVIRONMENT, MEGABYTE

from producer.experiments.job import InputError
from producer.experiments.overload import Added, Leg, Overload, Waiting, capacity, job_of
from producer.measurement.arrivals import Rate, evenly
from producer.measurement.load import Load
from producer.measurement.resources import Resources, Sample
from producer.measurement.result import load, save
from producer.measurement.trace import Row, Trace
from producer.measurement.windows import windows
from producer.models.bounded import RejectedError
from producer.models.thread_pool import RejectingThreadPoolExecutor, ThreadPoolExecutor
from producer.reports.overload import findings, report
from producer.reports.terminal import show
from worker import workloads
from worker.call import Call, run

CAPACITY, DURATION = 100.0, 4.0
RATE = Rate(0.5 * CAPACITY, 3 * CAPACITY, DURATION)
#: When the rate passes the capacity.
FULL = DURATION * (1 - 0.5) / (3 - 0.5)


def served_in_turn(*, at_most: int | None = None, inside: int | None = None, faster: float = 1.0) -> Load:
    """What a queue makes of the ramp that serves a call in 10 ms, one after another.

    Args:
        at_most: calls that may be unfinished; others are refused.
        inside: calls that may be unfinished; others wait for `submit`.
        faster: so many times as fast.
    """
    service = 1 / CAPACITY / faster
    rows: list[Row] = []
    sent: list[float] = []
    taken: list[float] = []
    refused: list[int] = []
    ends: list[float] = []  # of the calls that were served
    for index, due in enumerate(evenly(RATE)):
        if at_most is not None and sum(end > due for end in ends) >= at_most:
            rows.append(Row(index, due, None, None, due, "", "RejectedError: no room for another call"))
            refused.append(index)
            sent.append(due)
            taken.append(due)
            continue
        free = max(ends[-inside], due) if inside is not None and len(ends) >= inside else due
        start = max(ends[-1] if ends else 0.0, due)
        ends.append(start + service)
        rows.append(Row(index, due, start, start + service, start + service, "worker"))
        sent.append(max(due, taken[-1] if taken else 0.0))
        taken.append(free)
    return Load(Trace(rows), tuple(sent), tuple(taken), tuple(refused), (), max(ends) + 0.001)


def leg(model: str, made: Load, *, threads: Callable[[float], int] = lambda _: 5, **changes: Any) -> Leg:
    times = [n / 4 for n in range(int(made.ended * 4) + 1)]
    samples = tuple(
        Sample(t, t / 2, 50 * MEGABYTE + int(t * 2 * MEGABYTE), threads(t), 1, int(500 * t * t))
        for t in times
    )
    resources = Resources(
        1.0, max(s.memory for s in samples), max(s.threads for s in samples), 1, samples[-1].switches
    )
    found = Leg(
        model, CAPACITY, True, 1 / CAPACITY, RATE, made, resources, samples, windows(made, samples, 0.25)
    )
    return replace(found, **changes)


def overload_of(*legs: Leg, remote: bool = False) -> Overload:
    return Overload(
        workload="query",
        models=tuple(leg.model for leg in legs),
        settings={"workers": 1, "arrivals": "constant", "capacity": None, "remote": remote},
        environment=ENVIRONMENT,
        began=1_700_000_000.0,
        legs=legs,
    )


def text(*legs: Leg, remote: bool = False) -> str:
    return "\n".join(findings(overload_of(*legs, remote=remote)))


def test_a_queue_stops_keeping_up_soon_after_the_rate_passes_its_capacity() -> None:
    found = leg("thread-pool", served_in_turn()).fell_behind
    assert found is not None
    assert FULL - 0.25 <= found <= FULL + 1


def test_a_model_that_is_fast_enough_keeps_up() -> None:
    one = leg("event-loop", served_in_turn(faster=4))
    assert one.fell_behind is None
    assert text(one).startswith("No model stopped keeping up.")


def test_a_slow_stretch_that_is_made_up_for_is_no_falling_behind() -> None:
    """In the middle of the ramp calls take ten times as long, and at its end they do not."""
    made = served_in_turn(faster=4)
    rows = [replace(r, delivered=r.delivered + (0.1 if 1 < r.submitted < 2 else 0)) for r in made.trace]
    assert leg("thread-pool", replace(made, trace=Trace(rows))).fell_behind is None


def test_a_model_that_refuses_stops_keeping_up_although_the_others_are_fast() -> None:
    found = leg("thread-pool-rejecting", served_in_turn(at_most=3)).fell_behind
    assert found is not None
    assert FULL - 0.25 <= found <= FULL + 1


def test_who_stopped_keeping_up_when_and_who_did_not() -> None:
    found = text(leg("thread-pool", served_in_turn()), leg("event-loop", served_in_turn(faster=4)))
    assert "Stopped keeping up: thread-pool at 1." in found
    assert "Kept up until the arrivals ended: event-loop (to 3.0 times its capacity)." in found


def test_threads_that_grow_are_told_with_the_limit_that_ended_it() -> None:
    made = served_in_turn()
    short = Load(Trace(made.trace[:400]), made.sent[:400], made.taken[:400], (), (), made.ended, stopped=True)
    found = text(leg("thread-per-request", short, threads=lambda t: 5 + int(100 * t), limit="500 threads"))
    last = made.trace[399].submitted
    assert f"the safety limit of 500 threads ended the arrivals after {last:.2f} s" in found
    assert "threads from 5 to " in found
    assert "context switches from " in found
    assert "memory by " in found


def test_a_bound_that_blocks_makes_arrivals_wait_outside_and_a_late_clock_hides_it() -> None:
    """Four calls are inside at most, 10 ms each: from `submit` on none takes more than 50 ms."""
    found = text(leg("thread-pool-blocking", served_in_turn(inside=4)))
    assert "thread-pool-blocking: back-pressure: no more than " in found
    assert re.search(
        r"submit is called shows a p99 of [45]\d\.\d ms; from their arrival it is 3\.\d\d s", found
    )


def test_a_bound_that_rejects_keeps_the_others_fast_and_says_what_it_costs() -> None:
    rejecting, pool = served_in_turn(at_most=3), served_in_turn()
    found = text(leg("thread-pool", pool), leg("thread-pool-rejecting", rejecting))
    share = round(100 * len(rejecting.refused) / len(rejecting.trace))
    assert f"refused {len(rejecting.refused)} of {len(rejecting.trace)} calls ({share} %)" in found
    # Three calls of 10 ms are inside at most, the one that has just come among them.
    assert re.search(r"kept the p99 of the others at (29|30)\.\d ms; without a bound it is 3\.\d\d s", found)


def test_a_worker_that_is_added_is_told_with_what_it_did() -> None:
    """Twice as many calls are served from the moment on at which it is ready."""
    made = served_in_turn()
    rows, before = [], 0.0
    for row in made.trace:
        start = max(before, row.submitted)
        before = start + (0.01 if start < 2 else 0.005)
        rows.append(replace(row, delivered=before))
    load_ = replace(made, trace=Trace(rows), ended=before + 0.01)
    one = leg("broker-queue", load_, in_broker=(Waiting(1.0, 80),), added=Added(2, 1.6, 2.0))
    found = text(one)
    assert "up to 80 messages waited in the broker" in found
    assert "a worker with 2 processes, started at 1.60 s and ready at 2.00 s, took the calls served" in found
    before, after = map(float, re.findall(r"from ([\d.]+) to ([\d.]+), as long", found)[0])
    assert before == pytest.approx(100, rel=0.1)
    assert after == pytest.approx(200, rel=0.1)


@pytest.mark.parametrize(
    ("added", "words"),
    [
        (Added(1, 1.0, None), "a worker with 1 process was to be added, and was not ready in time."),
        (Added(1, 1.0, None, "no room"), "was not ready in time: no room."),
        (Added(1, 1.0, 1.5), "found no backlog to work on."),
    ],
)
def test_a_worker_that_changed_nothing_is_told_too(added: Added, words: str) -> None:
    one = leg("broker-queue", served_in_turn(faster=4), in_broker=(Waiting(1.0, 0),), added=added)
    assert words in text(one)


def test_a_cluster_that_the_user_named_gets_no_worker() -> None:
    one = leg("broker-queue", served_in_turn(), in_broker=(Waiting(1.0, 80),))
    assert "no worker was added, since the cluster is the one that CELERY_BROKER_URL" in text(
        one, remote=True
    )


def test_calls_that_fail_and_calls_that_are_given_up_are_told() -> None:
    made = served_in_turn()
    rows = [replace(made.trace[0], error="ValueError: bad"), *made.trace[1:]]
    found = text(leg("thread-pool", replace(made, trace=Trace(rows), left=(400, 401))))
    assert "1 call failed, the first with ValueError: bad." in found
    assert "2 calls had not ended " in found


def test_a_capacity_that_was_not_reached_is_called_more() -> None:
    assert "its capacity is more than the 100 calls/s" in text(
        leg("event-loop", served_in_turn(), reached=False)
    )


def test_a_sender_that_is_late_by_itself_is_blamed() -> None:
    made = served_in_turn()
    late = replace(
        made, sent=tuple(row.submitted + 0.5 for row in made.trace), taken=(None,) * len(made.trace)
    )
    assert "the sender itself was up to 500 ms late" in text(leg("thread-pool", late))
    assert "the sender itself" not in text(leg("thread-pool", made))


def test_an_overload_that_measured_nothing_says_nothing() -> None:
    assert findings(overload_of()) == []


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_report_fits_the_width_and_shows_each_leg_over_time(width: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show(
        report(overload_of(*(leg(name, served_in_turn()) for name in ("thread-pool", "event-loop")))), console
    )
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert sum("served/s" in line for line in lines) == 2


def test_an_overload_loads_as_it_was_saved(tmp_path: Path) -> None:
    one = leg("broker-queue", served_in_turn(), in_broker=(Waiting(1.0, 80),), added=Added(2, 1.6, 2.0))
    result = overload_of(one, leg("thread-pool-rejecting", served_in_turn(at_most=3), histogram="HIST"))
    save(result, tmp_path / "overload.json")
    again = load(tmp_path / "overload.json", Overload)
    assert findings(again) == findings(result)
    assert again.legs[0].windows == result.legs[0].windows


def test_a_capacity_is_that_of_the_workers_whatever_the_number_of_calls() -> None:
    """Two workers, 10 ms a call: 200 a second at most, and no less than a busy machine leaves of that."""
    with ThreadPoolExecutor(2) as pool:
        found, reached = capacity(
            pool, run, [Call(workloads.sleep, (0.01,))], workers=2, most=1_000, long_enough=0.1
        )
    assert reached
    assert found <= 200


def test_a_capacity_beyond_the_most_calls_at_once_is_called_unreached() -> None:
    """Eight calls take no longer than one, as 64 threads wait for them."""
    with ThreadPoolExecutor(64) as pool:
        _, reached = capacity(pool, run, [Call(workloads.sleep, (0.3,))], workers=1, most=8, long_enough=0.4)
    assert not reached


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def test_a_pool_that_rejects_takes_as_many_calls_as_it_has_room_for(gate: threading.Event) -> None:
    with RejectingThreadPoolExecutor(1, max_pending=2) as pool:
        futures = [pool.submit(gate.wait), pool.submit(int)]
        with pytest.raises(RejectedError, match="no room"):
            pool.submit(int)
        gate.set()
        assert [future.result() for future in futures] == [True, 0]
        end = time.monotonic() + 20
        while True:  # a slot is free a moment after the result is there
            try:
                assert pool.submit(int).result() == 0
                break
            except RejectedError:
                assert time.monotonic() < end


@pytest.mark.parametrize(
    ("workload", "inputs", "words"),
    [
        ("quer", None, "did you mean 'query'?"),
        ("slep", None, "did you mean 'sleep'?"),
        ("nothing-like-it", None, "there are query, sum, "),
        ("query", "file.jsonl", "--inputs is for other workloads"),
        ("json:dumps", None, "needs inputs"),
    ],
)
def test_a_workload_that_cannot_be_used_is_told_in_a_line(
    workload: str, inputs: str | None, words: str
) -> None:
    with pytest.raises(InputError, match=words.replace("?", r"\?")):
        job_of(workload, 2, inputs=inputs, quick=True)
