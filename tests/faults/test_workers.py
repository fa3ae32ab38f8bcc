"""Worker processes and whole workers that die, stop, come late, or are told to end."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from concurrent.futures import wait
from pathlib import Path

import faulty_calls
import pytest
from rig import BOUND, Rig, until

from producer.dispatch.errors import CallLostError


def test_a_process_that_is_killed_takes_no_call_with_it(rig: Rig) -> None:
    """Row 1: the call runs again; its batchmates keep their outcomes or run again; all resolve."""
    rig.worker(2, lease=30)
    gate = rig.directory / "gate"
    executor = rig.executor(batch=6)
    calls = [executor.submit(faulty_calls.hold, rig.runs.path, 0, str(gate))]
    calls += [executor.submit(faulty_calls.step, rig.runs.path, n) for n in range(1, 6)]
    killed = rig.runs.pid(0)
    os.kill(killed, signal.SIGKILL)
    until(lambda: rig.runs.count()["0"] == 2, "the call to run again")
    assert rig.runs.pid(0) != killed
    gate.touch()
    assert [call.result(BOUND) for call in calls] == [0, 1, 2, 3, 4, 5]
    until(rig.broker.settled, "the messages to be settled")


def test_a_worker_that_is_killed_before_it_reports_has_its_calls_run_again(rig: Rig) -> None:
    """Between start and outcome: nobody is left to give the message back; the lease does."""
    first = rig.worker(1)
    gate = rig.directory / "gate"
    executor = rig.executor()
    call = executor.submit(faulty_calls.hold_at_first, rig.runs.path, "call", str(gate))
    rig.runs.pid("call")
    assert rig.broker.held() == 1
    first.kill()
    rig.worker(1)
    assert call.result(BOUND) == 2
    until(rig.broker.settled, "the message to be settled")


def test_a_worker_that_is_killed_after_it_reported_has_nothing_run_again(rig: Rig) -> None:
    """Between outcome and acknowledgement: the message comes back, and is void."""
    first = rig.worker(1)
    gate = rig.directory / "gate"
    executor = rig.executor()
    call = executor.submit(faulty_calls.hold, rig.runs.path, "call", str(gate))
    rig.runs.pid("call")
    os.kill(first.pid, signal.SIGSTOP)  # its child goes on, and reports
    gate.touch()
    assert call.result(BOUND) == "call"
    assert rig.broker.held() == 1  # not acknowledged
    first.kill()
    second = rig.worker(1)
    until(lambda: "is not run" in second.log(), "the message to be found void")
    until(rig.broker.settled, "the message to be settled")
    assert rig.runs.count() == {"call": 1}


def test_a_message_that_died_with_a_worker_before_its_claim_is_sent_again(rig: Rig) -> None:
    """Between the queue and the worker's hands: in the socket of a process that is killed.

    The queue is never empty meanwhile, so that tells nobody that the message is lost.
    """
    first = rig.worker(1, lease=1)
    executor, other = rig.executor(), rig.executor()
    assert executor.submit(faulty_calls.step, rig.runs.path, "warm").result(BOUND) == "warm"
    until(rig.broker.settled, "the first message to be settled")
    os.kill(first.pid, signal.SIGSTOP)  # its BRPOP waits in the broker
    call = executor.submit(faulty_calls.step, rig.runs.path, "call")
    sent = until(lambda: executor._dispatcher._flying, "the message to be sent")
    until(lambda: all(b.sent < 1e300 for b in sent.values()) and not rig.broker.waiting(), "it to be taken")
    first.kill()
    assert rig.broker.settled()  # it is nowhere
    others = [other.submit(faulty_calls.nap, rig.runs.path, f"other-{n}", 0.1) for n in range(300)]
    rig.worker(1, lease=1)
    assert call.result(BOUND) == "call"
    assert not all(one.done() for one in others)
    assert executor._dispatcher.resent == 1
    count = rig.runs.count()
    assert count["warm"] == count["call"] == 1


def test_a_message_that_came_back_and_died_with_a_second_worker_is_sent_again(rig: Rig) -> None:
    """Its first worker was killed when it had begun it, the second before its claim. Then it is nowhere."""
    first = rig.worker(1, lease=1)
    gate = rig.directory / "gate"
    executor = rig.executor()
    call = executor.submit(faulty_calls.hold_at_first, rig.runs.path, "call", str(gate))
    rig.runs.pid("call")
    first.kill()
    rig.broker.client.delete("unacked", "unacked_index")  # as the second one's BRPOP and death leave it
    assert rig.broker.settled()
    rig.worker(1, lease=1)
    assert call.result(BOUND) == 2
    assert executor._dispatcher.resent == 1
    until(rig.broker.settled, "the message to be settled")


LEASE = 3.0


@pytest.mark.timeout(120)
def test_five_workers_killed_in_500_calls(rig: Rig) -> None:
    """Row 2: 500 of 500; each call that was lost runs again within 2 leases; none that reported does."""
    workers = [rig.worker(10, lease=LEASE, wait=False) for _ in range(3)]
    rig.wait_present(*workers)
    executor = rig.executor()
    reported: dict[str, float] = {}
    resolved: list[str] = []
    lock = threading.Lock()

    def note(name: str) -> None:
        with lock:
            resolved.append(name)
            reported[name] = time.time()

    calls = {str(n): executor.submit(faulty_calls.nap, rig.runs.path, n, 0.5) for n in range(500)}
    for name, call in calls.items():
        call.add_done_callback(lambda _, name=name: note(name))
    kills = []
    for n in range(5):
        until(lambda n=n: len(reported) >= 60 * (n + 1), "more calls to end")
        victim = workers.pop(0)
        children = {process.pid for process in victim.family()}
        victim.kill()
        kills.append((time.time(), children))
        workers.append(rig.worker(10, lease=LEASE, wait=False))
    assert [call.result(BOUND) for call in calls.values()] == list(range(500))
    assert sorted(resolved) == sorted(calls)  # each once
    until(rig.broker.settled, "the messages to be settled")

    began: dict[str, list[tuple[float, int]]] = {}
    for name, pid, at in rig.runs.lines():
        began.setdefault(name, []).append((at, pid))
    assert set(began) == set(calls)
    recovered = []
    for name, runs in began.items():
        for (_, pid), (again, _) in itertools.pairwise(runs):
            died = next(at for at, children in kills if pid in children)
            recovered.append(again - died)
            assert again < reported[name], f"{name} ran again after it had reported"
    assert recovered, "no kill hit a call"
    assert max(recovered) <= 2 * LEASE
    print(
        f"{len(recovered)} calls lost by 5 kills ran again after {sum(recovered) / len(recovered):.2f} s "
        f"on average, {max(recovered):.2f} s at most"
    )


def test_a_call_that_outlasts_its_lease_runs_once(rig: Rig) -> None:
    """Row 3: an idle worker looks for expired leases all the time, and finds none."""
    workers = [rig.worker(1, lease=1, wait=False) for _ in range(2)]
    rig.wait_present(*workers)
    executor = rig.executor()
    begun = time.monotonic()
    call = executor.submit(faulty_calls.nap, rig.runs.path, "long", 6)
    assert call.result(BOUND) == "long"
    assert time.monotonic() - begun >= 6
    assert rig.runs.count() == {"long": 1}


def test_a_worker_that_is_stopped_lets_its_calls_end(rig: Rig) -> None:
    """Row 4: within the grace time running calls end, and the rest goes back; no lease is waited for."""
    first = rig.worker(2, lease=60)
    gate = rig.directory / "gate"
    executor = rig.executor()
    calls = [executor.submit(faulty_calls.hold, rig.runs.path, n, str(gate)) for n in range(6)]
    rig.runs.pid(0)
    rig.runs.pid(1)
    first.process.terminate()
    until(lambda: "told to end" in first.log(), "the worker to begin its end")
    second = rig.worker(2, lease=60)
    gate.touch()
    assert [call.result(15) for call in calls] == list(range(6))
    assert rig.runs.count() == {str(n): 1 for n in range(6)}
    assert first.process.wait(15) == 0
    assert second.process.poll() is None
    until(rig.broker.settled, "the messages to be settled", 10)


def test_a_call_that_outlasts_the_grace_time_goes_to_another_worker_at_once(rig: Rig) -> None:
    """Row 4: what does not end within 10 s is given back, and begins elsewhere long before its lease ends."""
    first = rig.worker(1, lease=120)
    gate = rig.directory / "gate"
    executor = rig.executor()
    call = executor.submit(faulty_calls.hold_at_first, rig.runs.path, "call", str(gate))
    rig.runs.pid("call")
    first.process.terminate()
    rig.worker(1, lease=120)
    assert call.result(25) == 2
    assert first.process.wait(10) == 0
    until(rig.broker.settled, "the message to be settled", 10)


def test_a_message_that_comes_to_a_worker_that_is_stopped_goes_to_another_at_once(rig: Rig) -> None:
    """Row 4: a worker with a process free has asked the broker for more when it is told to end."""
    first = rig.worker(2, lease=60)
    gate = rig.directory / "gate"
    executor = rig.executor()
    held = executor.submit(faulty_calls.hold, rig.runs.path, "held", str(gate))
    rig.runs.pid("held")
    first.process.terminate()
    until(lambda: "told to end" in first.log(), "the worker to begin its end")
    late = executor.submit(faulty_calls.step, rig.runs.path, "late")
    rig.worker(1, lease=60)
    assert late.result(20) == "late"
    gate.touch()
    assert held.result(20) == "held"


def test_a_worker_that_comes_late_runs_a_call_twice_and_counts_once(rig: Rig) -> None:
    """Row 5: its renewals are held up (here by SIGSTOP) for longer than the lease."""
    first = rig.worker(1, lease=1)
    gate = rig.directory / "gate"
    executor = rig.executor()
    call = executor.submit(faulty_calls.hold_at_first, rig.runs.path, "call", str(gate))
    rig.runs.pid("call")
    resolved = []
    call.add_done_callback(lambda future: resolved.append(future.result()))
    os.kill(first.pid, signal.SIGSTOP)
    rig.worker(1, lease=1)
    assert call.result(BOUND) == 2
    gate.touch()  # the first run reports, too
    busy = executor.submit(faulty_calls.hold, rig.runs.path, "busy", str(rig.directory / "gate 2"))
    until(lambda: executor._dispatcher.duplicates == 1, "the late outcome to be counted")
    os.kill(first.pid, signal.SIGCONT)
    (rig.directory / "gate 2").touch()
    busy.result(BOUND)
    assert resolved == [2]
    assert call.result() == 2
    until(rig.broker.settled, "the messages to be settled")
    assert rig.runs.count() == {"call": 2, "busy": 1}


WORDS = {"exit": "exitcode 7", "segfault": "SIGSEGV", "memory": "SIGKILL"}


def test_calls_that_kill_their_process_fail_alone(rig: Rig) -> None:
    """Row 6: after 3 deliveries, with the cause; their 47 batchmates succeed, and so do later calls."""
    worker = rig.worker(2, lease=30)
    executor = rig.executor(batch=50)
    gate = rig.directory / "gate"
    first = executor.submit(faulty_calls.hold, rig.runs.path, "first", str(gate))
    rig.runs.pid("first")
    killers = {10: "exit", 25: "segfault", 40: "memory"}
    calls = [
        executor.submit(faulty_calls.die, rig.runs.path, n, killers[n])
        if n in killers
        else executor.submit(faulty_calls.step, rig.runs.path, n)
        for n in range(50)
    ]
    gate.touch()
    assert first.result(BOUND) == "first"
    wait(calls, BOUND)
    for n, call in enumerate(calls):
        if n in killers:
            with pytest.raises(CallLostError, match=WORDS[killers[n]]):
                call.result(BOUND)
        else:
            assert call.result(BOUND) == n
    count = rig.runs.count()
    # Delivered 3 times: once in company, where only the first of a batch's killers runs, and twice alone.
    assert all(count[str(n)] in (2, 3) for n in killers)
    assert executor.submit(faulty_calls.step, rig.runs.path, "later").result(BOUND) == "later"
    assert worker.process.poll() is None
    until(rig.broker.settled, "the messages to be settled")


def test_a_worker_that_is_killed_leaves_nothing_outside_its_directory(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pool keeps files, and only a worker that ends by itself removes them."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    worker = rig.worker(2)
    worker.kill()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("pymp-")]
