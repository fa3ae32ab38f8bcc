"""The embedded cluster: it is there in a moment, for this machine alone, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from waiting import BOUND, gone, until

from producer import CeleryExecutor, broker
from producer.cluster import Cluster, ClusterError, embedded
from worker.workloads import noop


def test_it_listens_on_loopback_only(cluster: Cluster) -> None:
    listening = [
        connection.laddr.ip
        for process in cluster.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_its_secrets_are_for_this_user_alone(cluster: Cluster) -> None:
    assert stat.S_IMODE(cluster.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.key_file.parent.stat().st_mode) == 0o700
    password = cluster.url.partition("://:")[2].partition("@")[0]
    assert len(password) >= 16
    assert not any(password in word for p in cluster.processes() for word in p.cmdline())


@pytest.mark.parametrize("end", ["", "raise LookupError", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_it_is_gone_with_its_files_however_its_producer_ends(end: str) -> None:
    """SIGKILL leaves a program no time to clean up: the keeper notices, and does it."""
    program = f"""
import os, signal, sys
from producer.cluster import embedded
with embedded(1) as cluster:
    print(cluster.key_file.parent, flush=True)
    sys.stdin.read()
    {end}
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", program], text=True, **pipes) as producer:
        assert producer.stdin is not None
        assert producer.stdout is not None
        directory = Path(producer.stdout.readline().strip())
        assert directory.is_dir()
        family = psutil.Process(producer.pid).children(recursive=True)
        assert len(family) >= 4  # keeper, broker, worker, its process
        producer.stdin.close()
    until(lambda: gone(family), "the cluster to go")
    until(lambda: not directory.exists(), "its directory to go")


def test_two_clusters_share_a_broker_and_nothing_else(cluster: Cluster) -> None:
    with embedded(1) as other:
        assert other.url == cluster.url
        assert other.queue != cluster.queue
        mine = {worker.name for worker in broker.workers(cluster.url, cluster.queue)}
        its = {worker.name for worker in broker.workers(other.url, other.queue)}
        assert mine
        assert its
        assert not mine & its
        its_worker = [p for p in other.processes() if p not in cluster.processes()]
    assert gone(its_worker)
    assert broker.workers(cluster.url, cluster.queue)


def test_executors_without_a_url_bring_a_cluster_and_take_it_down(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    before = set(psutil.Process().children(recursive=True))
    with CeleryExecutor(1) as one, CeleryExecutor(1) as other:
        assert one.submit(noop, 1).result(BOUND) == 1
        assert other.submit(noop, 2).result(BOUND) == 2
        theirs = set(psutil.Process().children(recursive=True)) - before
    assert len(theirs) == 4  # two workers of a process each, and no second broker
    until(lambda: gone(list(theirs)), "their workers to go")


def test_a_worker_that_can_not_start_is_told_with_its_reason(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    with pytest.raises(ClusterError, match="others can read the signing key"), embedded(1, key_file=key):
        pass


def test_flower_shows_it() -> None:
    with embedded(1, flower=True) as cluster:
        assert cluster.flower_url is not None
        url = f"{cluster.flower_url}/api/workers?refresh=1"

        def shown() -> bool:
            with urllib.request.urlopen(url, timeout=BOUND) as answer:  # noqa: S310 - loopback
                return any(name.startswith(f"{cluster.queue}@") for name in json.load(answer))

        until(shown, "Flower to show the worker")
        with CeleryExecutor(url=cluster.url, queue=cluster.queue, key_file=cluster.key_file) as executor:
            assert executor.submit(divmod, 1, 0).exception(BOUND) is not None

        def told() -> bool:
            with urllib.request.urlopen(f"{cluster.flower_url}/api/tasks", timeout=BOUND) as answer:  # noqa: S310
                tasks = json.load(answer).values()
            return any(t["args"] == "divmod(1, 0)" and "ZeroDivisionError" in str(t["result"]) for t in tasks)

        until(told, "Flower to show the call, and why it failed")


def test_cluster_up_serves_other_shells_by_its_url_alone(tmp_path: Path) -> None:
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("CELERY_", "BREAKEVEN_"))}
    environment["HOME"] = str(tmp_path)  # the signing key is kept in the user's configuration
    environment.pop("XDG_CONFIG_HOME", None)
    command = [sys.executable, "-m", "producer"]
    up = subprocess.Popen(
        [*command, "cluster", "up", "--workers", "1", "--no-flower"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert up.stdout is not None
        lines = iter(up.stdout.readline, "")
        url = next(line for line in lines if "CELERY_BROKER_URL=" in line).partition("=")[2].strip()
        family = psutil.Process(up.pid).children(recursive=True)
        environment["CELERY_BROKER_URL"] = url

        status = subprocess.run(
            [*command, "cluster", "status", "--json"], capture_output=True, text=True, env=environment
        )
        assert [worker["processes"] for worker in json.loads(status.stdout)] == [1]
        inputs = tmp_path / "inputs.jsonl"
        inputs.write_text("[3]\n[4]\n")
        model = ["--model", "broker-queue"]
        run = subprocess.run(
            [*command, "run", "math:factorial", "--inputs", str(inputs), *model],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert [json.loads(line)["value"] for line in run.stdout.splitlines()] == [6, 24], run.stderr

        up.send_signal(signal.SIGINT)
        assert up.wait(BOUND) == 0
    finally:
        up.kill()
        up.communicate()
    until(lambda: gone(family), "the cluster to go")
