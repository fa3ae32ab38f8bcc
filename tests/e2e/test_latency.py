"""A network that takes 2 ms or 20 ms each way between producer and broker: the table says what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from containers import Cluster

from producer.measurement.result import load
from producer.measurement.run import Run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

QUEUES = ("broker-queue", "broker-queue-batched")
#: Few: what is to be seen is that it works and what it costs, and each call may take a round trip.
CALLS = 40


@pytest.fixture(scope="module")
def far_cluster(cluster: Cluster) -> Iterator[Cluster]:
    far = replace(cluster, files=("compose.yaml", "tests/e2e/latency.yaml"))
    try:
        far.up("--no-recreate", "latency-2", "latency-20")
        yield far
    finally:
        far.compose("rm", "--force", "--stop", "latency-2", "latency-20")


@pytest.mark.parametrize("milliseconds", [2, 20])
def test_the_table_says_what_latency_costs_each_queue(
    far_cluster: Cluster, report: Path, milliseconds: int
) -> None:
    name = f"latency-{milliseconds}"
    words = (
        "--models",
        f"sequential,{','.join(QUEUES)}",
        "--tasks",
        str(CALLS),
        "--rounds",
        "2",
        "--json",
        f"/report/{name}.json",
    )
    broker = ("--env", f"BREAKEVEN_BROKER={name}:6379/0")
    command = ("run", "--rm", "--no-deps", "-T", *broker, "producer", "compare", "noop", *words)
    done = far_cluster.compose(*command, timeout=180)
    run = load(report / f"{name}.json", Run)
    assert not run.problems
    assert run.settings["round_trip"] >= 2 * milliseconds / 1000
    assert "A round trip to the broker took" in done.stdout
    for model in QUEUES:
        assert model in done.stdout
        rows = [row for leg in run.legs if leg.model == model for row in leg.trace]
        assert len(rows) == 2 * CALLS
        # There and back, no call can be faster: it did go through the proxy.
        assert min(row.delivered - row.submitted for row in rows) >= 2 * milliseconds / 1000
