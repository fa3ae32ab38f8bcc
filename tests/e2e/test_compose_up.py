"""`docker compose up`: the cluster comes up in order, compares, leaves its report, and stays for more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from containers import Cluster

from producer.measurement.result import load
from producer.measurement.run import Run
from producer.models import MODELS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_everything_comes_up_healthy_in_order(started: tuple[Cluster, list[tuple[str, str]]]) -> None:
    _, happened = started
    healthy = "health_status: healthy"
    order = [
        *(("secrets", "start"), ("secrets", "die"), ("redis", "start"), ("redis", healthy)),
        *(("worker", "start"), ("worker", healthy), ("flower", "start"), ("flower", healthy)),
    ]
    assert [event for event in happened if event in order][: len(order)] == order


def test_a_worker_has_a_process_for_each_cpu_of_its_quota(cluster: Cluster) -> None:
    (worker,) = json.loads(cluster.producer("cluster", "status", "--json").stdout)
    assert worker["processes"] == 1  # WORKER_CPUS
    assert worker["python"].startswith("3.14")


def test_up_compares_every_model_and_leaves_a_report(cluster: Cluster, report: Path) -> None:
    # What is left of `docker compose up` when the others are up, with the output in the log.
    cluster.compose("up", "--no-build", "--detach", "--no-recreate")
    try:
        code = cluster.compose("wait", "producer", check=False, timeout=240).returncode
        output = cluster.log("producer")
        assert code == 0, output
        assert all(model in output for model in MODELS), output
        run = load(report / "compare.json", Run)
        assert not run.problems
        page = (report / "report.html").read_text("utf-8")
        assert all(model in page for model in measured(run))
        assert set(run.unavailable) <= {"event-loop"}, run.unavailable  # a sum is no coroutine function
        assert measured(run) == set(MODELS) - set(run.unavailable)
        assert {"redis", "worker", "flower"} <= {
            container["Config"]["Labels"]["com.docker.compose.service"]
            for container in cluster.containers()
            if container["State"].get("Health", {}).get("Status") == "healthy"
        }
    finally:
        cluster.compose("rm", "--force", "--stop", "producer")


def measured(run: Run) -> set[str]:
    return {leg.model for leg in run.legs}


def test_other_work_is_compared_on_the_cluster_that_is_up(cluster: Cluster, report: Path) -> None:
    # Workers reach the HTTP server that the producer starts in its own container.
    done = cluster.producer("compare", "fetch", "--quick", "--json", "/report/fetch.json", timeout=180)
    run = load(report / "fetch.json", Run)
    assert not run.problems
    assert measured(run) == set(MODELS), done.stdout
    assert "fetch" in done.stdout


def test_the_table_says_how_many_workers_and_processes_answered(three_workers: Cluster) -> None:
    names = "sequential,broker-queue-batched"
    done = three_workers.producer("compare", "sleep", "--quick", "--models", names, timeout=120)
    text = " ".join(done.stdout.split())
    assert "3 workers" in text, text
    assert "3 processes" in text, text


def test_the_status_shows_every_worker(three_workers: Cluster) -> None:
    workers = json.loads(three_workers.producer("cluster", "status", "--json").stdout)
    containers = {one["Config"]["Hostname"] for one in three_workers.containers("worker")}
    assert len(workers) == 3
    assert {worker["host"] for worker in workers} == containers


def test_own_code_runs_on_the_cluster(cluster: Cluster) -> None:
    words = ("primes:count", "--inputs", "primes.jsonl", "--model", "broker-queue-batched")
    lines = cluster.producer("run", *words).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["index"] for one in found] == list(range(40))
    assert sum(one["value"] for one in found) == 33_860  # the primes up to 400,000


def test_what_own_code_raises_is_told(cluster: Cluster, code: Path) -> None:
    (code / "one.jsonl").write_text("[7]\n")
    words = ("own_code:fail", "--inputs", "one.jsonl", "--model", "broker-queue-batched")
    done = cluster.producer("run", *words, check=False)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert (error["type"], error["message"]) == ("ValueError", "no luck with 7")
    assert "own_code.py" in error["traceback"]


def test_run_starts_what_is_missing(cluster: Cluster) -> None:
    # Without --no-deps, as the README tells it.
    done = cluster.compose("run", "--rm", "-T", "producer", "compare", "noop", "--quick", "--tasks", "20")
    assert "broker-queue" in done.stdout


def test_down_leaves_nothing(cluster: Cluster) -> None:
    settings = {**cluster.settings, "FLOWER_PORT": cluster.settings["OTHER_PORT"]}
    other = Cluster(cluster.engine, "breakeven-e2e-down", settings)
    try:
        other.up("redis", "worker", "flower")
        assert all(other.left().values())
    finally:
        other.down()
    assert not any(other.left().values()), other.left()
