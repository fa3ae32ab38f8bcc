"""CPU, memory, threads and processes of everything that takes part in a round."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

#: Seconds between two samples, at least. Peaks shorter than this can be missed.
INTERVAL = 0.05
#: The share of one core that sampling may cost. Reading a process's PSS takes some 0.3 ms; with many
#: processes the samples are taken further apart.
COST = 0.02


@dataclass(frozen=True, slots=True)
class Resources:
    """What a round used. CPU is a sum; the others are peaks of the sum over all processes.

    Attributes:
        cpu: seconds of CPU time, user and system.
        memory: bytes. On Linux PSS: pages that processes share are divided among them, so the sum counts
            each page once. Elsewhere resident memory, which counts shared pages for each.
        threads: how many at a time.
        processes: how many at a time.
    """

    cpu: float
    memory: int
    threads: int
    processes: int


@dataclass
class Sampler:
    """Adds up the resources of some processes, which may come and go."""

    processes: Callable[[], Iterable[psutil.Process]]
    own_cpu: float = 0.0  # what sampling itself has used, on the sampling thread
    _first: dict[psutil.Process, float] = field(default_factory=dict)
    _last: dict[psutil.Process, float] = field(default_factory=dict)
    _memory: int = 0
    _threads: int = 0
    _processes: int = 0

    def begin(self) -> None:
        """Note the CPU time that each process has used so far: it is not this round's."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                self._first[process] = self._last[process] = _cpu(process)
        for process in self._first:
            if process.pid == os.getpid():  # once more, since looking at the others took time
                self._first[process] = self._last[process] = time.process_time()

    def sample(self) -> None:
        """Look at every process once."""
        own = time.process_time()  # before anything is looked at: that takes milliseconds
        memory = threads = processes = 0
        looked_at = list(self.processes())
        for process in looked_at:
            with contextlib.suppress(psutil.Error):
                self._last[process] = own if process.pid == os.getpid() else _cpu(process)
                self._first.setdefault(process, 0.0)
        for process in looked_at:
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

    def result(self) -> Resources:
        """Return what was seen since `begin`."""
        cpu = sum(last - self._first[process] for process, last in self._last.items())
        return Resources(max(0.0, cpu - self.own_cpu), self._memory, self._threads, self._processes)


@contextmanager
def sampled(sampler: Sampler) -> Iterator[None]:
    """Sample from a thread of its own for as long as the body runs, and once at its end."""
    over = threading.Event()

    def keep_sampling() -> None:
        pause = INTERVAL
        while not over.wait(pause):
            begun = time.perf_counter()
            sampler.sample()
            pause = max(INTERVAL, (time.perf_counter() - begun) / COST)
            sampler.own_cpu = time.thread_time()

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


def _cpu(process: psutil.Process) -> float:
    if process.pid == os.getpid():
        return time.process_time()  # to the microsecond; others are told in ticks of 10 ms
    times = process.cpu_times()
    return float(times.user + times.system)
