"""Overload: calls arrive faster than they can be served, and what each model makes of it.

For each model a leg: open it ─▶ measure its capacity ─▶ calls arrive on a ramp from half of that to three
times of it (open loop: producer/measurement/load.py) ─▶ wait for what is left, for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING, ClassVar, Protocol

import psutil
import redis

from producer.experiments.compare import UnreachableError, broker_url, reach_workers, warm_up
from producer.experiments.job import InputError, Job, job, nearest, served
from producer.experiments.place import all_seen, open_cluster, opened
from producer.measurement.arrivals import PROCESSES, Rate
from producer.measurement.environment import environment
from producer.measurement.latencies import encoded, percentiles
from producer.measurement.load import Load, Progress, load
from producer.measurement.noise import Ear
from producer.measurement.resources import Resources, Sample, Sampler, sampled, tree
from producer.measurement.result import Result
from producer.measurement.trace import one_line
from producer.measurement.windows import Window, windows
from producer.models import MODELS, Model, abandon
from producer.models.variants import BLOCKING, QUEUE, REJECTING, VARIANTS
from worker import workloads
from worker.call import Call, clock, run, run_async

if TYPE_CHECKING:
    from producer.cluster import Cluster

#: The ramp, in multiples of the capacity.
FROM, TO = 0.5, 3.0
#: Seconds that calls arrive for, and the length of a window; and for `--quick`.
DURATION, WINDOW = 8.0, 0.5
QUICK_DURATION, QUICK_WINDOW = 2.5, 0.25
#: Calls of a leg at most; where more would arrive, the ramp is shorter.
MOST_CALLS = 20_000
#: Safety limits that end the arrivals of a leg: threads of this process (and for `--quick`), and bytes by
#: which the memory of all processes involved may grow.
MOST_THREADS, QUICK_MOST_THREADS = 500, 150
MOST_MEMORY = 1_000_000_000
#: When a worker is added to a cluster, as a multiple of the capacity. It takes about a second to be ready.
ADD_AT = 1.5
#: Seconds of a call of the default workload.
SERVICE = 0.02
#: What the capacity is measured with: seconds, and calls at once at most.
LONG_ENOUGH, QUICK_LONG_ENOUGH = 0.4, 0.25
MOST_AT_ONCE = 256
#: Calls, and seconds at most, in which it is measured what a call takes when it is alone.
ALONE, ALONE_SECONDS = 9, 1.0
#: A model keeps up in a window if no more than this share of its calls is refused, and half of its calls take
#: no longer than so many times what one takes that is alone, and so many seconds more.
REFUSED, SLOWER, NOISE = 0.05, 3.0, 0.02
#: Name of the default workload.
QUERY = "query"


@dataclass(frozen=True, slots=True)
class Added:
    """A worker that was added to the cluster. Times are in seconds since the load began.

    Attributes:
        processes: how many it has.
        began: when it was started.
        ready: when it served the queue; None if it did not while the load went on.
        error: why it could not be started; empty if it could.
    """

    processes: int
    began: float
    ready: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many messages waited in the broker for a worker to take them, at one moment."""

    time: float
    messages: int


@dataclass(frozen=True, slots=True)
class Leg:
    """What one model made of its load. Times are in seconds since the load began.

    Attributes:
        model: its name.
        capacity: calls a second that it can serve, as measured, or given by the user.
        reached: whether more calls at once would not have been faster: the capacity is a limit.
        alone: seconds from submission to delivery of a call that is alone, the median.
        rate: at which calls arrived.
        load: every call, with its times.
        resources: of all processes involved.
        samples: the same over time.
        windows: what happened in each stretch of time; computed from the above.
        limit: the safety limit that ended the arrivals; empty if none did.
        in_broker: messages in the broker over time; empty where there is none.
        added: the worker that was added meanwhile, if one was.
        histogram: sojourn times of the calls that were served, as HdrHistogram's tools read them, in
            microseconds; None without that library.
    """

    model: str
    capacity: float
    reached: bool
    alone: float
    rate: Rate
    load: Load
    resources: Resources
    samples: tuple[Sample, ...]
    windows: tuple[Window, ...]
    limit: str = ""
    in_broker: tuple[Waiting, ...] = ()
    added: Added | None = None
    histogram: str | None = None

    @property
    def served(self) -> list[float]:
        """The sojourn times of the calls that ended and were not refused."""
        others = {*self.load.refused, *self.load.left}
        return [row.delivered - row.submitted for row in self.load.trace if row.call not in others]

    @property
    def until(self) -> float:
        """When the arrivals ended: with the ramp, or before."""
        short = self.load.stopped or self.load.interrupted
        return self.load.trace[-1].submitted if short and self.load.trace else self.rate.duration

    def multiple(self, time: float) -> float:
        """Return the rate of arrivals at `time`, in multiples of the capacity."""
        return self.rate.at(time) / self.capacity

    @property
    def fell_behind(self) -> float | None:
        """When it stopped keeping up, for good; None if it kept up until the arrivals ended."""
        since = None
        for window in reversed(self.windows):
            if window.start >= self.until or not window.arrived:
                continue
            slow = window.p50 is not None and window.p50 > SLOWER * self.alone + NOISE
            if not slow and window.refused <= REFUSED * window.arrived:
                break
            since = window.start
        return since


@dataclass(frozen=True, kw_only=True)
class Overload(Result):
    """What overload measured.

    Attributes:
        workload: the name of what ran.
        legs: one for each model, in the order in which they were measured.
    """

    experiment: ClassVar[str] = "overload"

    workload: str
    legs: tuple[Leg, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """How to overload.

    Attributes:
        models: names of `VARIANTS`.
        workers: workers of each pool, and processes of the embedded cluster.
        quick: shorter ramps.
        duration: seconds that calls arrive for; None: by `quick`.
        capacity: calls a second that count as each model's capacity; None: measure it.
        arrivals: the arrival process, one of `PROCESSES`.
        add_workers: processes of the worker that is added to the embedded cluster; 0: none.
        seed: for the arrivals.
    """

    models: Sequence[str]
    workers: int
    quick: bool = False
    duration: float | None = None
    capacity: float | None = None
    arrivals: str = "poisson"
    add_workers: int = 0
    seed: int = 0


class Observer(Protocol):
    """Who wants to know how it goes."""

    def doing(self, what: str) -> None:
        """Something begins that takes time."""

    def measured(self, share: float) -> None:
        """So much of the whole is done."""

    def moved(self, model: str, progress: Progress, multiple: float | None) -> None:
        """A load goes on; `multiple` is the rate against the capacity, None when the arrivals are over."""

    def ended(self, leg: Leg) -> None:
        """A load is over."""


def job_of(workload: str, workers: int, *, inputs: str | None, quick: bool) -> Job:
    """Return what the user wants to see under load.

    The calls of `query` wait for a connection, of which a process has one for each worker. So the capacity is
    a matter of arithmetic, and the same for all models in one process: workers ÷ `SERVICE`.

    Args:
        workload: `query`, one of the workloads, or `module:function`.
        workers: workers of each pool.
        inputs: a file with the arguments of each call; None: the workload's own.
        quick: take a workload's smaller inputs.

    Raises:
        InputError: no such workload, module, function or file; or inputs that can't be used.
    """
    if workload == QUERY:
        if inputs is not None:
            raise InputError(f"--inputs is for other workloads: {QUERY} brings its own")
        return Job(QUERY, workloads.query, workloads.query_async, [((SERVICE, workers), {})])
    names = [QUERY, *workloads.WORKLOADS]
    if ":" not in workload and workload not in names:
        hint = nearest(workload, names) or f"there are {', '.join(names)}, and module:function"
        raise InputError(f"there is no workload {workload!r}: {hint}")
    return job(workload, inputs=inputs, quick=quick)


def overload(what: Job, options: Options, observer: Observer) -> Overload:
    """Overload one model after the other.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Args:
        what: whose calls arrive, from the beginning again when they are used up.
        options: how.
        observer: told of everything that happens, from this thread.

    Raises:
        InputError: the broker that CELERY_BROKER_URL names can't be reached, or has no workers.
    """
    models = [VARIANTS[name] for name in options.models]
    reasons = {model.name: model.unavailable(what.function, what.async_function) for model in models}
    result = Overload(
        workload=what.name,
        models=tuple(options.models),
        settings={
            "workers": options.workers,
            "quick": options.quick,
            "seed": options.seed,
            "arrivals": options.arrivals,
            "duration": options.duration or (QUICK_DURATION if options.quick else DURATION),
            "capacity": options.capacity,
            "add_workers": options.add_workers,
            "remote": broker_url() is not None,
            "queue": QUEUE * options.workers,
            "most_threads": QUICK_MOST_THREADS if options.quick else MOST_THREADS,
            "most_memory": MOST_MEMORY,
        },
        environment=environment(),
        began=clock(),
        unavailable={name: why for name, why in reasons.items() if why is not None},
    )
    models = [model for model in models if model.name not in result.unavailable]
    if (url := broker_url()) is not None and any(model.on_cluster for model in models):
        try:
            reach_workers(url)  # now, and not when it is the broker queue's turn
        except UnreachableError as error:
            raise InputError(str(error)) from error
    with served(what) as ready:
        measuring = _Measuring(ready, options, result, observer)
        try:
            for number, model in enumerate(models):
                measuring.leg(model, number / len(models), (number + 1) / len(models))
        except KeyboardInterrupt:
            return replace(measuring.result, interrupted=True)
    return measuring.result


@dataclass(frozen=True, slots=True)
class _Capacity:
    """What is measured of a model before its load; see `Leg`."""

    rate: float
    reached: bool
    alone: float


class _Measuring:
    """The state while it goes on: the result so far, and capacities that models share."""

    def __init__(self, job: Job, options: Options, result: Overload, observer: Observer) -> None:
        self.job, self.options, self.result, self.observer = job, options, result, observer
        self.me = psutil.Process()
        self.ear = Ear()
        self.pool: _Capacity | None = None  # that of the thread pool, whatever its queue

    def leg(self, model: Model, begin: float, end: float) -> None:
        """Open a model, measure its capacity, and overload it; on the observer's scale from begin to end."""
        workers = self.options.workers
        with ExitStack() as stack:
            self.observer.doing(f"{model.name}: opening")
            try:
                cluster = stack.enter_context(open_cluster(workers)) if model.on_cluster else None
                before = frozenset(tree(self.me)) - {self.me}
                executor = stack.enter_context(opened(model, workers, cluster))
                warm_up(executor, model, self.job, workers)
                capacity = self.capacity(model, executor)
            except InputError as error:
                self.leave_out(model, str(error))
                return
            except (Exception, CancelledError) as error:
                self.leave_out(model, one_line(error))
                return

            def involved() -> list[psutil.Process]:
                mine = tree(self.me, without=before)
                return list(dict.fromkeys([*mine, *(cluster.processes() if cluster else [])]))

            with self.ear.listening():
                leg = self.overloaded(model, executor, cluster, capacity, Sampler(involved), begin, end)
            heard = self.ear.heard if all_seen(self.result.models) else None
            self.result = replace(self.result, legs=(*self.result.legs, leg), noise=heard)
            self.observer.ended(leg)
            self.observer.measured(end)
            if leg.load.interrupted:
                raise KeyboardInterrupt
            if leg.load.left:
                abandon(executor)

    def leave_out(self, model: Model, why: str) -> None:
        self.observer.doing(f"{model.name} is left out: {why}")
        self.result = replace(self.result, unavailable={**self.result.unavailable, model.name: why})

    def capacity(self, model: Model, executor: Executor) -> _Capacity:
        """Measure what a model can serve, and what a call takes that is alone."""
        shared = model.name in ("thread-pool", BLOCKING.name, REJECTING.name)
        if shared and self.pool is not None:
            return self.pool
        self.observer.doing(f"{model.name}: measuring its capacity")
        calls, workers = self.job.calls(asynchronous=model.asynchronous), self.options.workers
        alone = _alone(executor, _entry(model), calls)
        if self.options.capacity is not None:
            return _Capacity(self.options.capacity, True, alone)
        with ExitStack() as stack:
            if shared:  # one that takes all calls
                executor = stack.enter_context(opened(MODELS["thread-pool"], workers, None))
            rate, reached = capacity(
                executor,
                _entry(model),
                calls,
                workers=1 if model.width == "one" else workers,
                most=max(MOST_AT_ONCE, 4 * workers),
                long_enough=QUICK_LONG_ENOUGH if self.options.quick else LONG_ENOUGH,
            )
        found = _Capacity(rate, reached, alone)
        if shared:
            self.pool = found
        return found

    def overloaded(
        self,
        model: Model,
        executor: Executor,
        cluster: Cluster | None,
        capacity: _Capacity,
        sampler: Sampler,
        begin: float,
        end: float,
    ) -> Leg:
        """Have calls arrive, and return what became of them."""
        settings, quick = self.result.settings, self.options.quick
        duration = min(settings["duration"], MOST_CALLS / (capacity.rate * (FROM + TO) / 2))
        rate = Rate(FROM * capacity.rate, TO * capacity.rate, duration)
        watch = _Watch(model, cluster, rate, capacity.rate, settings, sampler)

        def watched(progress: Progress) -> bool:
            arriving = progress.time < rate.duration and not watch.limit
            multiple = rate.at(progress.time) / capacity.rate if arriving else None
            self.observer.moved(model.name, progress, multiple)
            self.observer.measured(begin + (end - begin) * min(1.0, progress.time / (2 * duration)))
            return watch(progress)

        self.observer.doing(f"{model.name}: calls arrive")
        try:
            with sampled(sampler):
                found = load(
                    executor,
                    _entry(model),
                    self.job.calls(asynchronous=model.asynchronous),
                    PROCESSES[self.options.arrivals](rate, self.options.seed),
                    patience=max(duration, QUICK_DURATION),
                    watch=watched,
                )
        finally:
            watch.close()
        leg = Leg(
            model=model.name,
            capacity=capacity.rate,
            reached=capacity.reached,
            alone=capacity.alone,
            rate=rate,
            load=found,
            resources=sampler.result(),
            samples=sampler.timeline(),
            windows=windows(found, sampler.timeline(), min(QUICK_WINDOW if quick else WINDOW, duration / 10)),
            limit=watch.limit,
            in_broker=tuple(watch.in_broker),
            added=watch.added,
        )
        return replace(leg, histogram=encoded(leg.served))


class _Watch:
    """Looks at a load as it goes on: at the safety limits, and at a cluster, to which it adds a worker."""

    def __init__(
        self,
        model: Model,
        cluster: Cluster | None,
        rate: Rate,
        capacity: float,
        settings: dict[str, int],
        sampler: Sampler,
    ) -> None:
        self._cluster, self._sampler = cluster, sampler
        self._rate, self._capacity, self._settings = rate, capacity, settings
        self.limit = ""
        self.added: Added | None = None
        self.in_broker: list[Waiting] = []
        self._adding: threading.Thread | None = None
        self._memory: int | None = None
        self._broker, self._queue = _broker(cluster) if model.on_cluster else (None, "")

    def __call__(self, progress: Progress) -> bool:
        """Look; return whether more calls may arrive."""
        self._look_at_broker(progress.time)
        add = self._settings["add_workers"]
        if self._cluster and add and self.added is None:
            multiple = self._rate.at(progress.time) / self._capacity
            if multiple >= ADD_AT:
                self._add(self._cluster, add, progress.time)
        if not self.limit:
            self._look_at_limits()
        return not self.limit

    def _look_at_limits(self) -> None:
        threads, latest = threading.active_count(), self._sampler.latest
        if latest is not None:
            self._memory = latest.memory if self._memory is None else self._memory
        if threads > self._settings["most_threads"]:
            self.limit = f"{self._settings['most_threads']:,} threads"
        elif latest and self._memory and latest.memory - self._memory > self._settings["most_memory"]:
            self.limit = f"{self._settings['most_memory'] / 1e6:,.0f} MB more memory"

    def _look_at_broker(self, now: float) -> None:
        if self._broker is not None and (not self.in_broker or now - self.in_broker[-1].time > 0.2):
            try:
                self.in_broker.append(Waiting(round(now, 4), int(self._broker.llen(self._queue))))
            except (redis.RedisError, OSError):
                self._broker = None  # the calls will tell what is the matter

    def _add(self, cluster: Cluster, processes: int, now: float) -> None:
        """Start a worker beside the load, which goes on."""
        from producer.cluster import ClusterError

        begun = clock() - now
        self.added = added = Added(processes, round(now, 4))

        def add() -> None:
            try:
                cluster.add_worker(processes)
            except ClusterError as error:
                self.added = replace(added, error=str(error))
            else:
                self.added = replace(added, ready=round(clock() - begun, 4))

        self._adding = threading.Thread(target=add, name="add-worker", daemon=True)
        self._adding.start()

    def close(self) -> None:
        """Wait for a worker that is being added: a cluster is not taken down under it."""
        if self._adding is not None:
            self._adding.join()
        if self._broker is not None:
            self._broker.close()


def capacity(
    executor: Executor,
    entry: Callable[[Call], object],
    calls: Sequence[Call],
    *,
    workers: int,
    most: int,
    long_enough: float,
) -> tuple[float, bool]:
    """Return the calls a second that an executor serves when there are always some to serve.

    More and more calls are kept in progress at once, until twice in a row twice as many are no faster by a
    fifth. The number that was the fastest is measured twice more, for longer, and the better one counts:
    whatever else the machine does meanwhile makes it serve less than it can.

    Args:
        executor: where they run.
        entry: `run`, or `run_async` on an event loop.
        calls: what runs.
        workers: how many calls at once to begin with.
        most: how many to end with.
        long_enough: seconds of the last measurement; those before it are a quarter of that.

    Returns:
        The calls a second, and whether they are the executor's limit; if not, `most` calls at once were still
        faster than half of them.
    """
    stream = cycle(calls)
    count, level = min(workers, most), 0
    rates = {count: _closed_loop(executor, entry, stream, count, long_enough / 4)}
    while level < 2 and count < most:
        count = min(2 * count, most)
        before = max(rates.values())
        rates[count] = _closed_loop(executor, entry, stream, count, long_enough / 4)
        level = level + 1 if rates[count] < 1.2 * before else 0
    fastest = max(rates, key=lambda count: rates[count])
    return max(_closed_loop(executor, entry, stream, fastest, long_enough) for _ in range(2)), level > 0


def _closed_loop(
    executor: Executor,
    entry: Callable[[Call], object],
    stream: Iterator[Call],
    at_once: int,
    duration: float,
) -> float:
    """Keep so many calls in progress for so many seconds; return how many ended in a second."""
    slots, count = threading.Semaphore(at_once), 0
    begun = time.perf_counter()
    while True:
        slots.acquire()
        if time.perf_counter() - begun >= duration:  # one call more, alone, would take as long as all at once
            slots.release()
            break
        executor.submit(entry, next(stream)).add_done_callback(lambda _: slots.release())
        count += 1
    for _ in range(at_once):  # until all have ended
        slots.acquire()
    return count / (time.perf_counter() - begun)


def _alone(executor: Executor, entry: Callable[[Call], object], calls: Sequence[Call]) -> float:
    """Return what a call takes when no other is there, in seconds: the median of a few."""
    end = time.perf_counter() + ALONE_SECONDS
    taken: list[float] = []
    for call in islice(cycle(calls), ALONE):
        begun = time.perf_counter()
        executor.submit(entry, call).result()
        taken.append(time.perf_counter() - begun)
        if time.perf_counter() > end:
            break
    return median(taken)


def sojourn(leg: Leg, *percents: float) -> tuple[float, ...] | None:
    """Return percentiles of the sojourn times of the calls that were served; None if none was."""
    return percentiles(leg.served, *percents) if leg.served else None


def _broker(cluster: Cluster | None) -> tuple[redis.Redis | None, str]:
    from producer import broker

    url = cluster.url if cluster else broker_url()
    queue = cluster.queue if cluster else broker.queue_name()
    return (broker.connect(url), queue) if url else (None, queue)


def _entry(model: Model) -> Callable[[Call], object]:
    return run_async if model.asynchronous else run
