"""Resources: the CPU of a round and no more, and every process that takes part, once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from producer.measurement import resources
from producer.measurement.resources import LIST, MOST_SAMPLES, Resources, Sampler, pss, sampled, tree

BOUND = 20


def burn(seconds: float) -> None:
    """Use so much CPU on this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, f"waited {BOUND} s for {what}"
        time.sleep(0.005)


@pytest.fixture
def me() -> psutil.Process:
    return psutil.Process()


@pytest.fixture
def child() -> Iterator[psutil.Process]:
    """A process that burns 0.1 s of CPU, says so, and waits."""
    code = "import sys, time\nwhile time.process_time() < 0.1: pass\nprint(flush=True)\nsys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield psutil.Process(process.pid)


def test_cpu_is_what_was_used_since_the_beginning(me: psutil.Process) -> None:
    burn(0.2)  # before it begins
    sampler = Sampler(lambda: [me])
    sampler.begin()
    burn(0.1)
    sampler.sample()
    assert 0.1 <= sampler.result().cpu < 0.2


def test_what_looking_costs_is_not_the_rounds_cpu(me: psutil.Process) -> None:
    def slow_to_list() -> list[psutil.Process]:
        burn(0.1)
        return [me]

    sampler = Sampler(slow_to_list)
    sampler.begin()
    sampler.sample()
    assert sampler.result().cpu < 0.05


def test_what_the_sampling_thread_costs_is_not_the_rounds_cpu(
    me: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "LIST", 1)
    looked = threading.Semaphore(0)

    def slow_to_list() -> list[psutil.Process]:
        burn(0.1)
        looked.release()
        return [me]

    sampler = Sampler(slow_to_list)
    with sampled(sampler):
        for _ in range(2):  # the beginning, and one on the thread
            assert looked.acquire(timeout=BOUND)
        until(lambda: sampler.own_cpu, "the thread to note what it used")
    assert sampler.result().cpu < 0.05


def test_a_process_that_comes_later_counts_with_all_its_cpu(
    me: psutil.Process, child: psutil.Process
) -> None:
    listed = [me]
    sampler = Sampler(lambda: listed)
    sampler.begin()
    listed.append(child)
    sampler.sample()
    assert sampler.result().cpu >= 0.09  # its time is told in ticks of 10 ms


def test_a_process_that_was_there_counts_from_the_beginning_only(child: psutil.Process) -> None:
    sampler = Sampler(lambda: [child])
    sampler.begin()
    sampler.sample()
    assert sampler.result().cpu < 0.05


def test_a_process_that_ended_keeps_what_it_used(me: psutil.Process, child: psutil.Process) -> None:
    listed = [me]
    sampler = Sampler(lambda: listed)
    sampler.begin()
    listed.append(child)
    sampler.sample()
    child.kill()
    child.wait(BOUND)
    sampler.sample()
    assert sampler.result().cpu >= 0.09


def test_memory_threads_and_processes_are_the_peak_of_their_sums(
    me: psutil.Process, child: psutil.Process
) -> None:
    listed = [me, child]
    sampler = Sampler(lambda: listed)
    sampler.begin()
    sampler.sample()
    both = pss(me) + pss(child)
    listed.remove(child)
    sampler.sample()
    found = sampler.result()
    assert found.processes == 2
    assert found.threads >= 2
    assert found.memory == pytest.approx(both, rel=0.2)


def test_without_a_sample_nothing_was_used(me: psutil.Process) -> None:
    sampler = Sampler(lambda: [me])
    sampler.begin()
    assert sampler.result() == Resources(0.0, 0, 0, 0)


def test_the_processes_are_listed_anew_now_and_then(me: psutil.Process, child: psutil.Process) -> None:
    """And not each time: listing reads every process of the system."""
    listed = [me]
    sampler = Sampler(lambda: list(listed))
    with sampled(sampler):
        listed.append(child)
        until(lambda: sampler.latest, "a first sample")
        assert sampler.timeline()[0].processes == 1
        until(lambda: sampler.result().processes == 2, "the processes to be listed again")
    assert len(sampler.timeline()) > LIST


def test_beside_calls_that_hold_the_gil_samples_are_taken_all_the_same(me: psutil.Process) -> None:
    """Each time that sampling lets go of the GIL, it waits for it: its time says nothing of what it costs."""
    sampler = Sampler(lambda: [me])
    with sampled(sampler):
        until(lambda: sum(range(10_000)) and len(sampler.timeline()) >= 5, "five samples")
    assert [sample.processes for sample in sampler.timeline()][:5] == [1] * 5


def test_a_body_shorter_than_the_interval_is_sampled_all_the_same(me: psutil.Process) -> None:
    sampler = Sampler(lambda: [me])
    with sampled(sampler):
        pass
    assert sampler.result().processes == 1


def test_the_sampling_thread_ends_with_a_body_that_raises(me: psutil.Process) -> None:
    def body() -> None:
        with sampled(Sampler(lambda: [me])):
            raise LookupError

    with pytest.raises(LookupError):
        body()
    assert "resources" not in {thread.name for thread in threading.enumerate()}


def test_a_tree_is_the_root_and_its_descendants(me: psutil.Process, child: psutil.Process) -> None:
    assert {me, child} <= set(tree(me))


def test_a_tree_leaves_out_what_was_there_before(me: psutil.Process, child: psutil.Process) -> None:
    assert child not in tree(me, without=frozenset({child}))


def test_a_tree_of_a_process_that_is_gone_is_the_process(child: psutil.Process) -> None:
    child.kill()
    child.wait(BOUND)
    assert tree(child) == [child]


def test_memory_of_a_process_that_is_gone_is_a_psutil_error(child: psutil.Process) -> None:
    child.kill()
    child.wait(BOUND)
    with pytest.raises(psutil.Error):
        pss(child)


def test_context_switches_are_those_of_all_threads_since_the_beginning(me: psutil.Process) -> None:
    """Also of threads that have ended: each of the 20 below waited 10 times."""

    def wait() -> None:
        for _ in range(10):
            time.sleep(0.001)

    sampler = Sampler(lambda: [me])
    sampler.begin()
    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sampler.sample()
    assert sampler.result().switches >= 200


def test_context_switches_of_another_process_count_its_other_threads_too() -> None:
    code = (
        "import sys, threading, time\n"
        "def wait():\n    for _ in range(50): time.sleep(0.001)\n    done.release(); sys.stdin.read()\n"
        "done = threading.Semaphore(0)\n"
        "threading.Thread(target=wait).start()\ndone.acquire()\nprint(flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        other = psutil.Process(process.pid)
        listed: list[psutil.Process] = []
        sampler = Sampler(lambda: listed)
        sampler.begin()
        assert process.stdout.readline() == b"\n"
        listed.append(other)
        sampler.sample()
        assert sampler.result().switches >= 50


def test_the_timeline_has_a_sample_for_each_look(me: psutil.Process, child: psutil.Process) -> None:
    listed = [me]
    sampler = Sampler(lambda: listed)
    sampler.begin()
    sampler.sample()
    listed.append(child)
    burn(0.05)
    sampler.sample()
    first, second = sampler.timeline()
    assert (first.processes, second.processes) == (1, 2)
    assert 0 <= first.time < second.time
    assert second.cpu - first.cpu >= 0.05
    assert second.switches >= first.switches
    assert first.memory > 0
    assert second.threads >= 2
    assert sampler.latest == second


def test_a_long_timeline_is_bounded_and_evenly_spread(me: psutil.Process) -> None:
    sampler = Sampler(list)
    sampler.begin()
    for _ in range(5 * MOST_SAMPLES):
        sampler.sample()
    assert MOST_SAMPLES / 2 <= len(sampler.timeline()) <= MOST_SAMPLES
    times = [sample.time for sample in sampler.timeline()]
    assert times == sorted(times)
