"""A worker killed, the broker paused, workers taken away, while calls run: nothing lost or doubled."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from containers import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CALLS = 60
#: Seconds for each: three workers with one process each are busy for about 12 s.
LENGTH = 0.6


@pytest.fixture
def inputs(code: Path) -> str:
    lines = [json.dumps([number, LENGTH]) for number in range(CALLS)]
    (code / "numbers.jsonl").write_text("\n".join(lines) + "\n")
    return "numbers.jsonl"


class Running:
    """A producer that runs: results come one after another."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self.results: list[dict[str, int]] = []

    def read(self, count: int | None = None) -> None:
        """Read so many results, or all that come."""
        while count is None or count > 0:
            line = self._output.readline()
            if not line:
                assert count is None, f"it ended after {len(self.results)} results"
                return
            self.results.append(json.loads(line))
            count = None if count is None else count - 1


@contextmanager
def fan_out(cluster: Cluster, inputs: str) -> Iterator[Running]:
    """Have `own_code.double` called for all inputs; afterwards each has been answered, once and right."""
    words = ("own_code:double", "--inputs", inputs, "--model", "broker-queue-batched", "--unordered")
    command = cluster.command("run", "--rm", "--no-deps", "-T", "producer", "run", *words)
    with subprocess.Popen(
        command,
        env=cluster.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            running = Running(process.stdout)
            yield running
            running.read()
            errors = process.stderr.read()
            assert process.wait(60) == 0, errors
        finally:
            process.kill()
    values = {result["index"]: result["value"] for result in running.results}
    assert len(running.results) == CALLS
    assert values == {number: 2 * number for number in range(CALLS)}


def test_a_worker_that_is_killed_takes_no_call_with_it(three_workers: Cluster, inputs: str) -> None:
    with fan_out(three_workers, inputs) as running:
        running.read(5)
        victim = three_workers.containers("worker")[0]["Id"]
        three_workers.engine.docker("kill", victim)
    three_workers.engine.docker("rm", victim)


def test_a_broker_that_is_paused_for_10_s_loses_nothing(three_workers: Cluster, inputs: str) -> None:
    redis = three_workers.container("redis")
    with fan_out(three_workers, inputs) as running:
        running.read(5)
        three_workers.engine.docker("pause", redis)
        try:
            time.sleep(10)  # shorter than the lease: workers keep what they hold
        finally:
            three_workers.engine.docker("unpause", redis)


def test_a_broker_that_is_restarted_loses_nothing(three_workers: Cluster, inputs: str) -> None:
    with fan_out(three_workers, inputs) as running:
        running.read(5)
        three_workers.compose("restart", "redis")


def test_workers_that_are_taken_away_end_what_they_run(three_workers: Cluster, inputs: str) -> None:
    with fan_out(three_workers, inputs) as running:
        running.read(5)
        begun = int(time.time())
        three_workers.scale(1)
        killed = [event for event in three_workers.events(begun) if event == ("worker", "kill")]
        ended = [event for event in three_workers.events(begun) if event == ("worker", "die")]
        assert len(ended) == 2
        assert len(killed) == 2, "a worker did not end on SIGTERM and had to be killed"
