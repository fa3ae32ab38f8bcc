"""The commands that need a cluster, from the shell: what they print, how they end, what they leave."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from shell_for_tests import BOUND, QUEUES, producer

from producer.cluster import Cluster, free_port
from producer.measurement.result import load
from producer.measurement.run import Run
from producer.measurement.summary import summarize


def test_compare_measures_the_cluster_that_the_environment_names(
    shell: dict[str, str], tmp_path: Path
) -> None:
    done = producer(
        *("compare", "noop", "--tasks", "40", "--rounds", "2", "--models", f"sequential,{QUEUES}"),
        *("--json", "run.json"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "ran on 2 processes of 1 worker" in done.stdout
    run = load(tmp_path / "run.json", Run)
    assert run.cluster_startup is None  # it was there
    for model in QUEUES.split(","):
        summary = summarize(run, model)
        assert summary is not None
        assert (summary.rounds, summary.failed) == (2, 0)


def test_compare_brings_a_cluster_where_there_is_none(shell: dict[str, str], tmp_path: Path) -> None:
    """The user's own function, from the current directory, on workers of this run's own."""
    del shell["CELERY_BROKER_URL"]
    (tmp_path / "mine.py").write_text("def twice(n, *, plus=0):\n    return 2 * n + plus\n")
    (tmp_path / "calls.jsonl").write_text('[1]\n{"n": 2, "plus": 5}\n')
    done = producer(
        *("compare", "mine:twice", "--inputs", "calls.jsonl", "--rounds", "1", "--json", "run.json"),
        *("--models", f"sequential,process-pool,{QUEUES}"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    run = load(tmp_path / "run.json", Run)
    assert run.cluster_startup is not None
    assert {leg.model for leg in run.legs} == {"sequential", "process-pool", *QUEUES.split(",")}
    assert all(len(leg.trace) == 2 for leg in run.legs)
    assert all(leg.samples and leg.resources.switches > 0 for leg in run.legs)


@pytest.mark.parametrize("model", QUEUES.split(","))
def test_run_streams_results_from_the_cluster_in_order(
    shell: dict[str, str], tmp_path: Path, model: str
) -> None:
    lines = "".join(f"[{n}]\n" for n in range(50)) + '["no number"]\n'
    done = producer(
        *("run", "math:factorial", "--inputs", "-", "--model", model), env=shell, cwd=tmp_path, stdin=lines
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["index"] for record in records] == list(range(51))
    assert records[5]["value"] == 120
    assert records[50]["error"]["type"] == "TypeError"
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "producer: 1 of 51 calls failed"


def test_a_broker_that_is_not_there_is_one_line_and_exit_2(shell: dict[str, str], tmp_path: Path) -> None:
    shell["CELERY_BROKER_URL"] = f"redis://:secret@127.0.0.1:{free_port()}/0"
    for command in (["compare", "noop", "--tasks", "1"], ["cluster", "status"]):
        done = producer(*command, env=shell, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "can't be used" in done.stderr
        assert "secret" not in done.stderr + done.stdout


def test_a_cluster_without_workers_is_one_line_and_exit_2(shell: dict[str, str], tmp_path: Path) -> None:
    shell["BREAKEVEN_QUEUE"] = "nobody-serves-this"
    done = producer("compare", "noop", "--tasks", "1", env=shell, cwd=tmp_path)
    assert done.returncode == 2
    assert "no worker" in done.stderr
    assert done.stderr.count("\n") == 1


def test_status_says_when_no_worker_is_there(shell: dict[str, str], tmp_path: Path) -> None:
    shell["BREAKEVEN_QUEUE"] = "nobody-serves-this"
    done = producer("cluster", "status", env=shell, cwd=tmp_path)
    assert done.returncode == 1
    assert "no worker" in done.stderr


def test_another_key_than_the_workers_is_told_before_anything_is_sent(
    shell: dict[str, str], tmp_path: Path
) -> None:
    shell["BREAKEVEN_KEY_FILE"] = str(tmp_path / "another.key")
    done = producer(
        *("run", "math:factorial", "--inputs", "-", "--model", "broker-queue"),
        env=shell,
        cwd=tmp_path,
        stdin="[1]\n",
    )
    assert done.returncode == 2
    assert "another signing key" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_comparison_takes_its_cluster_down(
    shell: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    del shell["CELERY_BROKER_URL"]
    command = [sys.executable, "-m", "producer", "compare", "sleep", "--models", QUEUES, "--rounds", "100"]
    running = subprocess.Popen(
        command, env=shell, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    end = time.monotonic() + BOUND
    while "round 1" not in running.stderr.readline():  # a line for each leg that was measured
        assert time.monotonic() < end
    family = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(number)
    out, _ = running.communicate(timeout=BOUND)
    assert running.returncode == (130 if number == signal.SIGINT else 143)
    if number == signal.SIGINT:
        assert "broker-queue" in out  # what there was so far
    assert not psutil.wait_procs(family, timeout=BOUND)[1]


def test_the_standard_celery_commands_work_as_they_stand(cluster: Cluster, shell: dict[str, str]) -> None:
    """`celery -A worker ...` finds the app; remote control, signed like all else, reaches the worker."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "inspect", "ping", "--timeout", "3"],
        capture_output=True,
        text=True,
        env=shell,
        cwd=root,
        timeout=BOUND,
    )
    assert done.returncode == 0, done.stderr
    assert "pong" in done.stdout
