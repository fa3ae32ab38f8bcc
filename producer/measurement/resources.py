"""CPU, context switches, memory, threads and processes of everything that takes part in a round."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from worker.call import clock

#: Seconds between two samples, at least. Peaks shorter than this can be missed.
INTERVAL = 0.05
#: The share of one core that sampling may cost. Reading a process's PSS takes some 0.3 ms; with many
#: processes the samples are taken further apart. The time that passes says nothing of the cost: beside calls
#: that hold the GIL, a sample of 3 ms of CPU time takes 0.2 s.
COST = 0.02
#: Samples after which the processes are listed anew; those that come in between are seen then. Listing reads
#: every process of the system, which beside calls that hold the GIL takes a second.
LIST = 10
#: Samples that a timeline keeps at most: as many as a chart can show. A longer one has them further apart.
MOST_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class Resources:
    """What a round used. CPU and switches are sums; the others are peaks of the sum over all processes.

    Attributes:
        cpu: seconds of CPU time, user and system.
        memory: bytes. On Linux PSS: pages that processes share are divided among them, so the sum counts
            each page once. Elsewhere resident memory, which counts shared pages for each.
        threads: how many at a time.
        processes: how many at a time.
        switches: context switches, voluntary (a thread waits) and involuntary (its turn is over). Those of a
            thread of another process that ends between two samples are missed since the first of them.
    """

    cpu: float
    memory: int
    threads: int
    processes: int
    switches: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What all processes together had at one moment: CPU and switches since the beginning, the others then.

    Attributes:
        time: seconds since sampling began.
        cpu: as in `Resources`, up to then.
        memory: as in `Resources`.
        threads: how many.
        processes: how many.
        switches: as in `Resources`, up to then.
    """

    time: float
    cpu: float
    memory: int
    threads: int
    processes: int
    switches: int


class _Used(NamedTuple):
    """What a process has used since it began."""

    cpu: float
    switches: int


@dataclass
class Sampler:
    """Adds up the resources of some processes, which may come and go, and keeps a timeline of them."""

    processes: Callable[[], Iterable[psutil.Process]]
    own_cpu: float = 0.0  # what sampling itself has used, on the sampling thread
    latest: Sample | None = None
    _first: dict[psutil.Process, _Used] = field(default_factory=dict)
    _last: dict[psutil.Process, _Used] = field(default_factory=dict)
    _memory: int = 0
    _threads: int = 0
    _processes: int = 0
    _began: float = 0.0
    _listed: list[psutil.Process] = field(default_factory=list)
    _samples: list[Sample] = field(default_factory=list)
    _looks: int = 0
    _every: int = 1  # which look is kept

    def begin(self) -> None:
        """Note what each process has used so far: it is not this round's."""
        self._listed = list(self.processes())
        for process in self._listed:
            with contextlib.suppress(psutil.Error):
                self._first[process] = self._last[process] = _used(process)
        for process in self._first:
            if process.pid == os.getpid():  # once more, since looking at the others took time
                self._first[process] = self._last[process] = _used_here()
        self._began = clock()

    def sample(self, *, anew: bool = True) -> None:
        """Look at every process once.

        Args:
            anew: whether to list them before; otherwise those that were listed last are looked at.
        """
        own, now = _used_here(), clock()  # before anything is looked at: that takes milliseconds
        memory = threads = processes = 0
        if anew:
            self._listed = list(self.processes())
        for process in self._listed:
            with contextlib.suppress(psutil.Error):
                used = own if process.pid == os.getpid() else _used(process)
                before = self._last.get(process, used)
                self._last[process] = _Used(used.cpu, max(used.switches, before.switches))
                self._first.setdefault(process, _Used(0.0, 0))
        for process in self._listed:
            # One that ends while it is looked at has no figures any more, and needs none.
            with contextlib.suppress(psutil.Error):
                with process.oneshot():
                    process_threads, process_memory = process.num_threads(), pss(process)
                memory += process_memory
                threads += process_threads
                processes += 1
        self._memory = max(self._memory, memory)
        self._threads = max(self._threads, threads)
        self._processes = max(self._processes, processes)
        used = self._sum()
        since = round(now - self._began, 4)
        self.latest = Sample(since, round(used.cpu, 4), memory, threads, processes, used.switches)
        self._keep(self.latest)

    def result(self) -> Resources:
        """Return what was seen since `begin`."""
        used = self._sum()
        return Resources(used.cpu, self._memory, self._threads, self._processes, used.switches)

    def timeline(self) -> tuple[Sample, ...]:
        """Return the samples, evenly spread; the peaks between those that are kept are in `result` alone."""
        return tuple(self._samples)

    def _sum(self) -> _Used:
        cpu = sum(last.cpu - self._first[process].cpu for process, last in self._last.items())
        switches = sum(last.switches - self._first[process].switches for process, last in self._last.items())
        return _Used(max(0.0, cpu - self.own_cpu), switches)

    def _keep(self, sample: Sample) -> None:
        if self._looks % self._every == 0:
            self._samples.append(sample)
            if len(self._samples) > MOST_SAMPLES:
                del self._samples[1::2]
                self._every *= 2
        self._looks += 1


@contextmanager
def sampled(sampler: Sampler) -> Iterator[None]:
    """Sample from a thread of its own for as long as the body runs, and once at its end."""
    over = threading.Event()

    def keep_sampling() -> None:
        pause = INTERVAL
        looks = itertools.count(1)
        while not over.wait(pause):
            sampler.sample(anew=next(looks) % LIST == 0)
            used, sampler.own_cpu = sampler.own_cpu, time.thread_time()
            pause = max(INTERVAL, (sampler.own_cpu - used) / COST)

    thread = threading.Thread(target=keep_sampling, name="resources", daemon=True)
    sampler.begin()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sampler.sample()


def tree(root: psutil.Process, without: frozenset[psutil.Process] = frozenset()) -> list[psutil.Process]:
    """Return `root` and its descendants, without those in `without`."""
    with contextlib.suppress(psutil.Error):
        return [root, *(child for child in root.children(recursive=True) if child not in without)]
    return [root]


def pss(process: psutil.Process) -> int:
    """Return a process's proportional set size in bytes, or where there is none its resident memory.

    Raises:
        psutil.Error: the process is gone, or not ours to look at.
    """
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    return int(getattr(full, "pss", full.rss))


def _used(process: psutil.Process) -> _Used:
    if process.pid == os.getpid():
        return _used_here()
    times = process.cpu_times()
    return _Used(float(times.user + times.system), _switches(process))


def _used_here() -> _Used:
    """Return what this process has used, exactly: of others CPU time is told in ticks of 10 ms."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return _Used(time.process_time(), usage.ru_nvcsw + usage.ru_nivcsw)


def _switches(process: psutil.Process) -> int:
    """Return the context switches of all threads of another process.

    Raises:
        psutil.Error: the process is gone, or not ours to look at.
    """
    if sys.platform != "linux":
        return sum(process.num_ctx_switches())
    # What Linux tells of a process is that of its first thread only (proc_pid_status(5)), so psutil does too.
    found = 0
    for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            lines = status.read_bytes().splitlines()
            found += sum(int(line.split()[1]) for line in lines if b"voluntary_ctxt_switches" in line)
    return found
