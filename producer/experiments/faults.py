"""The drill: workers are killed while they work. What becomes of their calls?

It is run on this project's settings and on Celery's own, alike: the same broker, the same number of worker
processes, the same calls, and the same kills at the same times. A kill takes a whole worker, parent and
children, with SIGKILL, as the kernel does when memory is out, or a machine that loses power; a new worker
takes its place.

Each call notes in a file when it begins and when it is over, so what ran twice, and what a kill cut short,
is known without asking either side.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures import Future as _Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from producer import cluster
from producer.cluster import Bench
from producer.measurement.environment import environment
from producer.measurement.result import Result

#: The name of this project's drill.
OURS = "breakeven"

#: Seconds that one look at plain Celery's results is apart from the next.
_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drilled.

    Attributes:
        calls: how many there are.
        seconds: that each takes.
        kills: workers that are killed, at even distances.
        workers: that run at a time.
        processes: of each worker.
        lease: of this project's workers, in seconds.
        bound: seconds without a delivery, after the last kill, until what is not delivered counts as lost.
    """

    calls: int = 500
    seconds: float = 0.5
    kills: int = 5
    workers: int = 2
    processes: int = 8
    lease: float = 3.0
    bound: float = 20.0

    @property
    def interval(self) -> float:
        """Seconds from one kill to the next: all of them come while calls run."""
        return self.calls * self.seconds / (self.workers * self.processes) / (self.kills + 1)


QUICK = Plan(calls=120, seconds=0.25, kills=2, processes=4, lease=2.0, bound=8.0)


@dataclass(frozen=True, slots=True)
class Cut:
    """A call that a kill cut short; times are in seconds since the first submission.

    Attributes:
        call: its index.
        killed: when its worker was killed.
        delivered: when its result came nevertheless; None if it did not.
    """

    call: int
    killed: float
    delivered: float | None


@dataclass(frozen=True, slots=True)
class Drill:
    """What became of the calls.

    Attributes:
        name: whose settings.
        calls: how many were submitted.
        delivered: results that came, each right.
        twice: calls that ran to their end more than once.
        cut: calls that a kill cut short.
        recoveries: for each of these that was delivered, seconds from the kill to the delivery.
        seconds: from the first submission to the last delivery.
        kills: workers that were killed.
        kill_times: when they were, in seconds since the first submission.
        deliveries: when each result came, likewise, ascending.
        cuts: each call that was cut short.
    """

    name: str
    calls: int
    delivered: int
    twice: int
    cut: int
    recoveries: tuple[float, ...]
    seconds: float
    kills: int
    kill_times: tuple[float, ...] = ()
    deliveries: tuple[float, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @property
    def lost(self) -> int:
        """Calls whose result did not come."""
        return self.calls - self.delivered

    @property
    def mean(self) -> float | None:
        """Seconds to recover, on average; None where nothing did."""
        return math.fsum(self.recoveries) / len(self.recoveries) if self.recoveries else None

    @property
    def p99(self) -> float | None:
        """Seconds within which 99 % of what recovered did."""
        if not self.recoveries:
            return None
        ranked = sorted(self.recoveries)
        return ranked[math.ceil(0.99 * len(ranked)) - 1]


@dataclass(frozen=True, kw_only=True)
class Drills(Result):
    """What `faults` measured.

    Attributes:
        plan: what was drilled.
        drills: what became of the calls with each kind of settings, as far as it got.
    """

    experiment: ClassVar[str] = "faults"

    plan: Plan
    drills: tuple[Drill, ...] = ()


class Observer(Protocol):
    """Who wants to know how it goes."""

    def begins(self, name: str, plan: Plan) -> None:
        """A drill begins."""

    def goes_on(self, delivered: int, kills: int) -> None:
        """So many results have come, and so many workers were killed."""


class _Fleet(Protocol):
    """Workers of one kind, and calls on them."""

    name: str

    def start_worker(self, number: int) -> tuple[int, Callable[[], None]]:
        """Start a worker; return its pid, and what waits until it serves."""

    def run(self, log: str, on_delivered: Callable[[int], None], give_up: threading.Event) -> None:
        """Submit all calls, and tell of each right result, until all are there or it is given up."""


def faults(plan: Plan, observer: Observer) -> Drills:
    """Run the drill on each kind of settings, and return what became of the calls.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Raises:
        ClusterError: the broker or a worker could not be started.
    """
    result = Drills(
        plan=plan,
        models=(),
        settings={"workers": plan.workers},
        environment=environment(),
        began=time.time(),
    )
    try:
        with cluster.bench() as made:
            fleets: list[_Fleet] = [
                _Ours(plan, made),
                _Plain(plan, made, "Celery's defaults", 1, acks_late=False),
                _Plain(plan, made, "Celery, acks_late", 2, acks_late=True),
            ]
            for number, fleet in enumerate(fleets):
                observer.begins(fleet.name, plan)
                drill = _drill(plan, made, fleet, made.directory / f"drill-{number}", observer)
                result = replace(result, drills=(*result.drills, drill))
    except KeyboardInterrupt:
        result = replace(result, interrupted=True)
    return result


@dataclass
class _Record:
    """What the drill itself sees."""

    delivered: dict[int, float] = field(default_factory=dict)
    killed: dict[int, float] = field(default_factory=dict)  # when each process was

    def note(self, index: int) -> None:
        self.delivered.setdefault(index, time.time())


def _drill(plan: Plan, bench: Bench, fleet: _Fleet, log: Path, observer: Observer) -> Drill:
    record, give_up = _Record(), threading.Event()
    alive = [fleet.start_worker(number) for number in range(plan.workers)]
    for _, ready in alive:
        ready()
    begun = time.time()
    runner = threading.Thread(
        target=fleet.run, args=(str(log), record.note, give_up), name="drill", daemon=True
    )
    runner.start()
    try:
        kills = 0
        while runner.is_alive():
            runner.join(_LOOK)
            if kills < plan.kills and record.delivered and time.time() - begun > plan.interval * (kills + 1):
                pid, ready = alive.pop(0)
                ready()  # on a slow machine it may not be: a worker that has no calls loses none
                record.killed.update(_kill(bench, pid))
                alive.append(fleet.start_worker(plan.workers + kills))
                kills += 1
            last = max([begun, *record.killed.values(), *list(record.delivered.values())])
            if time.time() - last > plan.bound:
                break
            observer.goes_on(len(record.delivered), kills)
    finally:
        give_up.set()
        runner.join(plan.bound)
        for pid, _ in alive:
            bench.kill(pid)
    return _judge(plan, fleet.name, record, log, begun, kills)


def _kill(bench: Bench, pid: int) -> dict[int, float]:
    """Kill a worker, parent and children; return when each process was."""
    import psutil

    family = [process.pid for process in psutil.Process(pid).children(recursive=True)]
    bench.kill(pid)
    return dict.fromkeys([pid, *family], time.time())


def _judge(plan: Plan, name: str, record: _Record, log: Path, begun: float, kills: int) -> Drill:
    ended: dict[int, int] = defaultdict(int)
    running: dict[tuple[int, int], None] = {}
    for line in log.read_text().splitlines():
        word, index, pid, _ = line.split()
        if word == "end":
            ended[int(index)] += 1
            running.pop((int(index), int(pid)), None)
        else:
            running[int(index), int(pid)] = None
    cut = {index: record.killed[pid] for index, pid in running if pid in record.killed}

    def since(when: float) -> float:
        return round(when - begun, 4)

    return Drill(
        name=name,
        calls=plan.calls,
        delivered=len(record.delivered),
        twice=sum(times > 1 for times in ended.values()),
        cut=len(cut),
        recoveries=tuple(record.delivered[i] - at for i, at in cut.items() if i in record.delivered),
        seconds=max(record.delivered.values(), default=begun) - begun,
        kills=kills,
        kill_times=tuple(sorted(set(map(since, record.killed.values())))),
        deliveries=tuple(sorted(map(since, record.delivered.values()))),
        cuts=tuple(
            Cut(i, since(at), since(record.delivered[i]) if i in record.delivered else None)
            for i, at in sorted(cut.items(), key=lambda item: item[1])
        ),
    )


def _celery(app: str, name: str, processes: int) -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "--app", app, "worker", "--concurrency", str(processes)),
        *("--hostname", f"{name}@drill", "--loglevel", "info", "--without-mingle", "--without-gossip"),
    ]


class _Ours:
    """This project's workers, behind its executor."""

    def __init__(self, plan: Plan, bench: Bench) -> None:
        self.name = OURS
        self._plan, self._bench = plan, bench
        self._queue = "drill"

    def start_worker(self, number: int) -> tuple[int, Callable[[], None]]:
        name = f"breakeven-{number}"
        environment = {
            "CELERY_BROKER_URL": self._bench.url,
            "BREAKEVEN_KEY_FILE": str(self._bench.key_file),
            "BREAKEVEN_QUEUE": self._queue,
            "BREAKEVEN_LEASE": str(self._plan.lease),
        }
        pid = self._bench.start(name, _celery("worker", name, self._plan.processes), environment)
        return pid, lambda: self._bench.wait_logged(name, pid, " ready.")

    def run(self, log: str, on_delivered: Callable[[int], None], give_up: threading.Event) -> None:
        from producer.experiments.plain_celery import nap
        from producer.models.broker_queue import CeleryExecutor

        executor = CeleryExecutor(url=self._bench.url, queue=self._queue, key_file=self._bench.key_file)

        def note(index: int, future: _Future[int]) -> None:
            if not future.cancelled() and future.exception() is None and future.result() == index:
                on_delivered(index)

        pending = set()
        try:
            for index in range(self._plan.calls):
                future = executor.submit(nap, log, index, self._plan.seconds)
                future.add_done_callback(lambda future, index=index: note(index, future))  # type: ignore[misc]
                pending.add(future)
            while pending and not give_up.is_set():
                _, pending = wait(pending, timeout=_LOOK, return_when=FIRST_COMPLETED)
        finally:
            executor.kill()


class _Plain:
    """Celery's workers with Celery's defaults, behind `delay`."""

    def __init__(self, plan: Plan, bench: Bench, name: str, database: int, *, acks_late: bool) -> None:
        self.name = name
        self._plan, self._bench = plan, bench
        self._url = f"{bench.url.rpartition('/')[0]}/{database}"
        self._settings = {
            "CELERY_BROKER_URL": self._url,
            "PLAIN_ACKS_LATE": "1" if acks_late else "",
            "TMPDIR": str(bench.directory),  # whoever is killed leaves files behind
        }
        self._label = f"plain-{database}"

    def start_worker(self, number: int) -> tuple[int, Callable[[], None]]:
        name = f"{self._label}-{number}"
        argv = _celery("producer.experiments.plain_celery", name, self._plan.processes)
        pid = self._bench.start(name, argv, self._settings)
        return pid, lambda: self._bench.wait_logged(name, pid, " ready.")

    def run(self, log: str, on_delivered: Callable[[int], None], give_up: threading.Event) -> None:
        from celery import Celery

        client = Celery("drill", broker=self._url, backend=self._url, set_as_current=False)
        backend: Any = client.backend
        sent = [(log, index, self._plan.seconds) for index in range(self._plan.calls)]
        # Results are looked up, and not waited for one by one: a call that is lost would hold up the others.
        waiting = {
            client.send_task("nap", args, ignore_result=False).id: index for index, args in enumerate(sent)
        }
        while waiting and not give_up.is_set():
            ids = list(waiting)
            for task_id, payload in zip(
                ids, backend.client.mget([backend.get_key_for_task(one) for one in ids]), strict=True
            ):
                if payload is None:
                    continue
                meta = backend.decode_result(payload)
                index = waiting.pop(task_id)
                if meta["status"] == "SUCCESS" and meta["result"] == index:
                    on_delivered(index)
            give_up.wait(_LOOK)
        client.close()
