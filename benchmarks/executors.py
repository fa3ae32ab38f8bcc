"""CeleryExecutor beside the standard library's executors and Celery's own ways, on the same work.

    python benchmarks/executors.py [--rounds N] [--json FILE]

Everything runs in turns, in each round, with two worker processes on a broker of its own; each figure is the
median over the rounds, and what counts are the ratios: absolute times depend on the machine and its mood.

- burst: 20,000 no-op calls, submitted one by one, all results collected (Celery's group: 2,000)
- lone: one no-op call at a time, its result awaited before the next; median of 300
- makespan: calls of 50 ms and more, against the ideal (all service times, shared by two processes)
- late: the burst with 2 ms on each round trip between producer and broker
- megabytes: arguments of 1 MB each, there and back
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from celery import Celery, group

from producer import CeleryExecutor
from producer.cluster import Cluster, embedded, free_port
from producer.measurement.environment import environment
from worker.workloads import noop, sleep

WORKERS = 2
BURST, GROUP, LONE = 20_000, 2_000, 300
#: Calls in the makespan figures; the ideal is half their sum.
LONG = 100
SIZE = 1_000_000

plain = Celery("plain", broker=os.environ.get("PLAIN_URL"), backend=os.environ.get("PLAIN_URL"))
plain_noop = plain.task(name="noop")(noop)


def size(data: bytes) -> bytes:
    """Return the argument: a megabyte there and back."""
    return data


@contextmanager
def plain_worker(cluster: Cluster) -> Iterator[None]:
    """A worker of Celery's own making on the same broker: its defaults, two processes."""
    url = cluster.url.removesuffix("/0") + "/1"
    plain.conf.update(broker_url=url, result_backend=url)
    command = [sys.executable, "-m", "celery", "-A", "executors:plain", "worker", "--loglevel", "warning"]
    command += ["--concurrency", str(WORKERS), "--without-mingle", "--without-gossip"]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parent,
        env=os.environ | {"PLAIN_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        plain_noop.delay(0).get(timeout=30)
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def late(url: str) -> Iterator[str]:
    """The broker as it is reached by a way that takes 1 ms in each direction."""
    port = free_port()
    target = url.rpartition("@")[2].removesuffix("/0")
    program = Path(__file__).parents[1] / "tests" / "e2e" / "latency_proxy.py"
    process = subprocess.Popen([sys.executable, str(program), f"127.0.0.1:{port}", target, "1"])
    try:
        yield f"{url.rpartition('@')[0]}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def burst(executor: Executor) -> float:
    """Return calls a second."""
    begun = time.perf_counter()
    futures = [executor.submit(noop, n) for n in range(BURST)]
    assert [future.result() for future in futures] == list(range(BURST))
    return BURST / (time.perf_counter() - begun)


def burst_of_group() -> float:
    """Return calls a second of Celery's `group`."""
    begun = time.perf_counter()
    assert group(plain_noop.s(n) for n in range(GROUP)).apply_async().get() == list(range(GROUP))
    return GROUP / (time.perf_counter() - begun)


def lone(call: Callable[[int], int]) -> float:
    """Return the median seconds of a round trip."""
    times = []
    for n in range(LONE):
        begun = time.perf_counter()
        assert call(n) == n
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def excess(executor: Executor, calls: list[tuple[Any, Any]]) -> float:
    """Return by which share the makespan of sleeping calls is over the ideal."""
    ideal = sum(argument for function, argument in calls if function is sleep) / WORKERS
    begun = time.perf_counter()
    wait([executor.submit(function, argument) for function, argument in calls])
    return (time.perf_counter() - begun) / ideal - 1


def megabytes(executor: Executor) -> float:
    """Return megabytes a second, there and back."""
    data = os.urandom(SIZE)
    begun = time.perf_counter()
    futures = [executor.submit(size, data) for _ in range(20)]
    assert all(future.result() == data for future in futures)
    return 2 * 20 * SIZE / 1e6 / (time.perf_counter() - begun)


def one_round(cluster: Cluster) -> dict[str, float]:
    """Return every figure, measured once."""
    figures = {}
    with ThreadPoolExecutor(WORKERS) as threads:
        figures["burst thread pool"] = burst(threads)
    with ProcessPoolExecutor(WORKERS) as processes:
        list(processes.map(noop, range(100)))
        figures["burst process pool"] = burst(processes)
        figures["lone process pool"] = lone(lambda n: processes.submit(noop, n).result())
    figures["burst group"] = burst_of_group()
    figures["lone delay"] = lone(lambda n: plain_noop.delay(n).get())
    with CeleryExecutor(url=cluster.url, queue=cluster.queue, key_file=cluster.key_file) as executor:
        executor.wait_ready(10)
        list(executor.map(noop, range(100)))
        figures["burst CeleryExecutor"] = burst(executor)
        figures["lone CeleryExecutor"] = lone(lambda n: executor.submit(noop, n).result())
        figures["makespan of 50 ms"] = excess(executor, [(sleep, 0.05)] * LONG)
        alternating = [(sleep, 0.05) if n % 2 else (noop, n) for n in range(2 * LONG)]
        figures["makespan, short and long in turn"] = excess(executor, alternating)
    with CeleryExecutor(url=cluster.url, queue=cluster.queue, key_file=cluster.key_file) as executor:
        turning = [(noop, n) for n in range(1000)] + [(sleep, 0.05)] * LONG
        figures["makespan, short ones first"] = excess(executor, turning)
        figures["megabytes a second"] = megabytes(executor)
    with (
        late(cluster.url) as url,
        CeleryExecutor(url=url, queue=cluster.queue, key_file=cluster.key_file) as far,
    ):
        far.wait_ready(10)
        list(far.map(noop, range(100)))
        figures["burst CeleryExecutor, late"] = burst(far)
    return figures


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "json_file", type=click.Path(dir_okay=False))
def main(rounds: int, json_file: str | None) -> None:
    """Measure, and print medians and ratios."""
    with embedded(WORKERS, paths=[str(Path(__file__).parent)]) as cluster, plain_worker(cluster):
        measured = []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            measured.append(one_round(cluster))
    middle = {name: statistics.median(figures[name] for figures in measured) for name in measured[0]}

    def ratio(one: str, other: str) -> float:
        return statistics.median(figures[one] / figures[other] for figures in measured)

    where = environment()
    print(f"{where.python}, {where.cores_in_reach} cores, {where.processor}, {where.versions}")
    for name in ("thread pool", "process pool", "group", "CeleryExecutor"):
        print(f"burst  {name:<16} {middle[f'burst {name}']:>9,.0f} calls/s")
    for name in ("process pool", "delay", "CeleryExecutor"):
        print(f"lone   {name:<16} {1e3 * middle[f'lone {name}']:>9.2f} ms")
    for name in (name for name in middle if name.startswith("makespan")):
        print(f"{name:<40} {100 * middle[name]:>5.1f} % over the ideal")
    print(f"arguments of 1 MB                        {middle['megabytes a second']:>5.0f} MB/s")
    print()
    for other in ("thread pool", "process pool", "group"):
        times = ratio("burst CeleryExecutor", f"burst {other}")
        print(f"burst: CeleryExecutor is {times:.2f} times as fast as {other}")
    kept = ratio("burst CeleryExecutor, late", "burst CeleryExecutor")
    print(f"burst: with 2 ms on each round trip CeleryExecutor keeps {100 * kept:.0f} %")
    print(
        f"lone: CeleryExecutor takes {ratio('lone CeleryExecutor', 'lone delay'):.2f} times as long as delay"
    )
    if json_file:
        Path(json_file).write_text(json.dumps({"rounds": measured, "environment": where.versions}))


if __name__ == "__main__":
    main()
