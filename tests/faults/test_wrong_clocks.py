"""Workers on machines whose clocks are wrong: nobody takes what another holds, and traces are put right."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import faulty_calls
import pytest
from rig import BOUND, Rig, WorkerProcess, until

from producer.measurement.trace import trace
from worker import workloads
from worker.call import HOST, Call, host_of, run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)

LEASE = 2.0
#: Renewals of a lease after which it would have run out twice.
RENEWALS = 10

Machine = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Makes the environment variables of a machine of its own."""
    library = tmp_path_factory.mktemp("machine") / "machine.so"
    source = Path(__file__).with_name("machine.c")
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)

    def environment(ahead: float, drift: float = 0.0) -> dict[str, str]:
        # What the clock drifted before the test began counts as well: it is taken off again.
        ahead -= drift * time.monotonic()
        return {"LD_PRELOAD": str(library), "MACHINE": "far", "AHEAD": repr(ahead), "DRIFT": repr(drift)}

    return environment


def renewed(rig: Rig, calls: int) -> None:
    """Wait until the leases on so many calls were all renewed often enough."""
    seen: dict[bytes, set[float]] = {}

    def all_renewed() -> bool:
        for tag, at in rig.broker.client.zrange("unacked_index", 0, -1, withscores=True):  # type: ignore[union-attr]
            seen.setdefault(tag, set()).add(at)
        return len(seen) >= calls and all(len(times) > RENEWALS for times in seen.values())

    until(all_renewed, "the leases to be renewed")


@pytest.mark.parametrize("ahead", [3.25, 60.0, -60.0])
def test_a_worker_with_a_wrong_clock_takes_nothing_and_loses_nothing(
    rig: Rig, machine: Machine, ahead: float
) -> None:
    """Both hold a call for longer than a lease, and have a free process that would run it once more."""
    gate = rig.directory / "gate"
    executor = rig.executor()
    calls = []
    for name, where in (("right", None), ("wrong", machine(ahead))):
        rig.worker(1, lease=LEASE, machine=where)
        calls.append(executor.submit(faulty_calls.hold, rig.runs.path, name, str(gate)))
        rig.runs.pid(name)
    rig.worker(2, lease=LEASE)
    rig.worker(2, lease=LEASE, machine=machine(ahead))
    renewed(rig, len(calls))
    gate.touch()
    assert [call.result(BOUND) for call in calls] == ["right", "wrong"]
    until(rig.broker.settled, "the messages to be settled")
    assert rig.runs.count() == {"right": 1, "wrong": 1}


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_a_worker_with_a_wrong_clock_that_is_killed_is_missed_in_time(
    rig: Rig, machine: Machine, ahead: float
) -> None:
    """By a worker whose clock is right, and the other way round."""
    gate = rig.directory / "gate"
    executor = rig.executor()
    order: list[dict[str, str] | None] = [machine(ahead), None, machine(ahead)]
    working: WorkerProcess | None = None
    call = executor.submit(faulty_calls.hold, rig.runs.path, "call", str(gate))
    for begun, where in enumerate(order, 1):
        following = rig.worker(1, lease=LEASE, machine=where)
        if working is not None:
            working.kill()
        working = following
        until(lambda begun=begun: rig.runs.count()["call"] == begun, "the call to begin")
    gate.touch()
    assert call.result(BOUND) == "call"
    until(rig.broker.settled, "the message to be settled")
    assert rig.runs.count() == {"call": 3}


@pytest.mark.parametrize(
    ("ahead", "drift"), [(3.25, 0.0), (-3.25, 0.0), (0.02, 0.0), (0.0, 0.0), (1.0, 1e-3)]
)
def test_what_a_machine_with_a_wrong_clock_noted_is_put_right(
    rig: Rig, machine: Machine, ahead: float, drift: float
) -> None:
    rig.worker(1)
    begun = time.monotonic()
    rig.worker(1, machine=machine(ahead, drift))
    found, _ = trace(rig.executor(batch=1), run, [Call(workloads.sleep, (0.01,))] * 40)
    drifted = drift * (time.monotonic() - begun)
    assert {host_of(row.worker) for row in found} == {HOST, "far"}
    assert found.offsets.keys() == {"far"}
    offset = found.offsets["far"]
    assert abs(offset.value - ahead) <= offset.uncertainty + drifted
    for row in found:
        assert row.started is not None
        assert row.finished is not None
        wrong = 2 * offset.uncertainty
        assert row.submitted - wrong <= row.started < row.finished <= row.delivered + wrong
