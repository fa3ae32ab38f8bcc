"""The memory of a million calls through `CeleryExecutor.map`: the producer's, the broker's, the worker's.

    python benchmarks/memory.py [--calls N]

Prints a line for each tenth of the calls. What counts is that no column grows.
"""

from __future__ import annotations

import sys

import click
import psutil

from producer import CeleryExecutor
from producer.broker import connect
from producer.cluster import embedded
from producer.measurement.resources import pss
from worker.workloads import noop


@click.command()
@click.option("--calls", default=1_000_000, show_default=True)
def main(calls: int) -> None:
    """Measure, and print a line for each tenth."""
    with embedded(2) as cluster:
        broker = connect(cluster.url)
        worker = [p for p in cluster.processes() if "valkey" not in p.name()]
        print(f"{'calls':>9} {'producer':>10} {'broker':>10} {'worker':>10}   MB")
        with CeleryExecutor(url=cluster.url, queue=cluster.queue, key_file=cluster.key_file) as executor:
            for index, value in enumerate(executor.map(noop, iter(range(calls)))):
                assert value == index
                if (index + 1) % (calls // 10) == 0:
                    mine, theirs = pss(psutil.Process()), sum(map(pss, worker))
                    used = broker.info("memory")["used_memory"]
                    print(f"{index + 1:>9,} {mine / 1e6:>10.1f} {used / 1e6:>10.1f} {theirs / 1e6:>10.1f}")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
