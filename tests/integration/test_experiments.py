"""The experiments from the shell, on real clusters: what they measure, print and save."""

from __future__ import annotations

import json
from pathlib import Path

from shell_for_tests import QUEUES, producer

from producer.experiments.blocking import Heartbeats
from producer.experiments.break_even import Sweep
from producer.experiments.futures import LIMIT, TIMEOUT, Lives
from producer.experiments.overload import Overload
from producer.experiments.pool_size import PoolSizes
from producer.experiments.scale import Scaling
from producer.measurement.result import load
from producer.reports.blocking import beats


def test_blocking_hands_calls_to_the_cluster_without_waiting_for_them(
    shell: dict[str, str], tmp_path: Path
) -> None:
    done = producer(
        *("blocking", "sleep", "--quick", "--models", "sequential,broker-queue", "--json", "heart.json"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    heart = beats(load(tmp_path / "heart.json", Heartbeats), "sleep")
    assert heart["sequential"].stopped
    assert heart["broker-queue"].returns < heart["sequential"].returns
    assert "Synchronous: a call returned after" in " ".join(done.stdout.split())


def test_futures_shows_that_only_the_time_limit_stops_a_call(shell: dict[str, str], tmp_path: Path) -> None:
    done = producer(
        *(
            "futures",
            "sleep",
            "--tasks",
            "3",
            "--models",
            "process-pool,broker-queue",
            "--json",
            "lives.json",
        ),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lives = load(tmp_path / "lives.json", Lives)
    fates = {(one.model, one.act): one for one in lives.given_up}
    for model in ("process-pool", "broker-queue"):
        assert {one.state for one in lives.events if one.model == model} == {
            *("PENDING", "RUNNING", "FINISHED", "CANCELLED")
        }
        went_on = fates[model, TIMEOUT]
        assert went_on.ended
        assert went_on.later > 0
        waiting = [one for one in lives.cancels if one.model == model and one.state == "PENDING"]
        assert any(one.cancelled for one in waiting)
        assert not any(one.ended for one in waiting if one.cancelled)
    stopped = fates["broker-queue", LIMIT]
    assert (stopped.ended, stopped.later) == (False, 0)
    assert stopped.before > 0
    assert "the time limit stopped the same call" in " ".join(done.stdout.split())


def test_break_even_measures_every_size_on_the_cluster_too(shell: dict[str, str], tmp_path: Path) -> None:
    done = producer(
        *("break-even", "io", "--quick", "--models", "sequential,event-loop,broker-queue-batched"),
        *("--json", "sweep.json"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "• Break-even: event-loop pays" in done.stdout
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    measured = {(point["model"], point["size"], point["round"]) for point in sweep["points"]}
    rounds = max(point["round"] for point in sweep["points"])
    assert rounds >= 3
    assert len(measured) == 3 * len(sweep["sizes"]) * rounds  # by each model, at each size, in each round


def test_break_even_takes_the_sizes_of_the_calls_that_are_given(
    shell: dict[str, str], tmp_path: Path
) -> None:
    """Calls of two lengths, a hundred times apart, in any order, and one that fails on processes alone."""
    (tmp_path / "mine.py").write_text(
        "import time\n"
        "def nap(seconds, tell=None):\n    time.sleep(seconds)\n    return tell and (lambda: None)\n"
    )
    (tmp_path / "calls.jsonl").write_text('[0.1]\n[0.001]\n{"seconds": 0.001, "tell": true}\n')
    done = producer(
        *("break-even", "mine:nap", "--inputs", "calls.jsonl", "--quick", "--json", "sweep.json"),
        *("--models", "thread-per-request,process-pool"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    assert "WRONG: nap(seconds=0.001, tell=True) failed on process-pool: " in done.stdout
    sweep = load(tmp_path / "sweep.json", Sweep)
    assert sweep.calls == ("nap(0.001) and 1 more", "nap(0.1)")
    assert list(sweep.unavailable) == ["process-pool"]
    assert {(point.model, point.size) for point in sweep.points} == {
        ("thread-per-request", size) for size in sweep.sizes
    }


def test_break_even_of_calls_without_a_size_names_the_fastest(shell: dict[str, str], tmp_path: Path) -> None:
    done = producer(
        *("break-even", "noop", "--quick", "--models", "sequential,thread-pool", "--json", "sweep.json"),
        *("--html", "sweep.html"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "a single size shows none. The fastest: " in " ".join(done.stdout.split())
    sweep = load(tmp_path / "sweep.json", Sweep)
    assert (len(sweep.sizes), sweep.calls) == (1, ("noop(0) and 1,999 more",))


def test_break_even_that_no_model_can_run_is_one_line(shell: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("async def nap(seconds):\n    pass\n")
    done = producer("break-even", "mine:nap", "--models", "thread-pool", env=shell, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no model can run mine:nap here: needs a plain function" in done.stderr.splitlines()[-1]


def test_break_even_names_the_kinds_of_call_that_there_are(shell: dict[str, str], tmp_path: Path) -> None:
    done = producer("break-even", "cpo", env=shell, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean 'cpu'?" in done.stderr


def test_pool_size_measures_one_s_own_function_on_pools_of_each_size(
    shell: dict[str, str], tmp_path: Path
) -> None:
    """Threads, and the workers of the cluster that is there, limited to so many messages."""
    (tmp_path / "calls.jsonl").write_text("[1]\n[2]\n[3]\n")
    done = producer(
        *("pool-size", "calls_for_tests:double", "--inputs", str(tmp_path / "calls.jsonl"), "--quick"),
        *("--sizes", "2,1", "--models", "thread-pool,broker-queue", "--json", str(tmp_path / "sizes.json")),
        env=shell,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    assert "• Workers to take here: calls_for_tests:double: thread-pool" in done.stdout
    assert "a size is the number of messages that are under way" in " ".join(done.stdout.split())
    result = load(tmp_path / "sizes.json", PoolSizes)
    measured = {(point.model, point.size, point.round) for point in result.points}
    rounds = max(point.round for point in result.points)
    assert rounds >= 3
    assert len(measured) == 2 * 2 * rounds == len(result.points)  # each pool, at each size, in each round
    assert all(point.calls % 3 == 0 for point in result.points)  # all inputs, equally often


def test_a_pool_on_which_a_call_fails_is_left_out_and_the_other_goes_on(
    shell: dict[str, str], tmp_path: Path
) -> None:
    """What no process can send back fails on the process pool alone."""
    (tmp_path / "calls.jsonl").write_text("[]\n")
    asked = (
        "pool-size",
        "calls_for_tests:unpicklable",
        "--inputs",
        "calls.jsonl",
        "--quick",
        "--sizes",
        "1,2",
    )
    shell["PYTHONPATH"] = str(Path(__file__).parent)
    done = producer(*asked, "--json", "sizes.json", env=shell, cwd=tmp_path)
    assert done.returncode == 1
    assert "WRONG: unpicklable() failed on process-pool: " in done.stdout
    result = load(tmp_path / "sizes.json", PoolSizes)
    assert result.unavailable == {"process-pool": "left out: a call failed on it"}
    assert {(point.model, point.size) for point in result.points} == {("thread-pool", 1), ("thread-pool", 2)}
    assert len(result.problems) == 1
    nothing = producer(*asked, "--models", "process-pool", env=shell, cwd=tmp_path)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.splitlines()[-1].startswith("producer: unpicklable() failed on process-pool: ")


def test_pool_size_says_what_it_can_not_vary(shell: dict[str, str], tmp_path: Path) -> None:
    done = producer("pool-size", "--models", "sequential", env=shell, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "sequential has no number of workers that could vary: take some of thread-pool" in done.stderr


def test_overload_adds_a_worker_to_its_own_cluster(shell: dict[str, str], tmp_path: Path) -> None:
    """What is saved has every call, its windows and what the added worker did."""
    del shell["CELERY_BROKER_URL"]
    done = producer(
        *("overload", "--quick", "--models", "thread-pool-rejecting,broker-queue", "--workers", "1"),
        *("--add-workers", "1", "--seed", "1", "--json", "overload.json"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rejecting, queue = load(tmp_path / "overload.json", Overload).legs
    for leg in (rejecting, queue):
        calls = len(leg.load.trace)
        assert calls == sum(window.arrived for window in leg.windows)
        assert calls == len(leg.served) + len(leg.load.refused) + len(leg.load.left)
        assert leg.samples
    assert rejecting.load.refused
    assert queue.in_broker
    assert queue.added is not None
    assert queue.added.ready is not None
    assert "a worker with 1 process, started at" in " ".join(done.stdout.split())


def test_overload_leaves_a_cluster_that_was_named_as_it_is(shell: dict[str, str], tmp_path: Path) -> None:
    done = producer(
        *("overload", "sleep", "--quick", "--models", "broker-queue", "--duration", "0.5"),
        *("--arrivals", "constant", "--json", "overload.json"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (leg,) = load(tmp_path / "overload.json", Overload).legs
    assert leg.added is None
    assert "CELERY_BROKER_URL names" in " ".join(done.stdout.split())


def test_scale_limits_what_is_under_way_on_the_cluster_that_is_there(
    shell: dict[str, str], tmp_path: Path
) -> None:
    done = producer("scale", "io", "--quick", "--json", "scale.json", env=shell, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "has 2 worker processes, which can't be varied" in " ".join(done.stdout.split())
    assert "• Efficiency of the most processes: io: broker-queue" in done.stdout
    result = load(tmp_path / "scale.json", Scaling)
    assert {layout.processes for layout in result.layouts} == {1, 2}
    assert {point.model for point in result.points} == set(QUEUES.split(","))
    assert all(point.cpu.broker is None for point in result.points)  # it may be anywhere


def test_a_queue_on_which_a_call_fails_is_left_out_and_the_other_goes_on(
    shell: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "calls.jsonl").write_text(json.dumps([str(tmp_path / "marker")]))
    shell["PYTHONPATH"] = str(Path(__file__).parent)
    done = producer(
        *("scale", "calls_for_tests:fail_once", "--inputs", "calls.jsonl", "--quick", "--json", "scale.json"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    result = load(tmp_path / "scale.json", Scaling)
    (failed,) = result.unavailable
    assert {failed, *(point.model for point in result.points)} == set(QUEUES.split(","))
    assert failed not in {point.model for point in result.points}
    assert f"failed on {failed}: LookupError: not yet" in " ".join(done.stdout.split())


def test_scale_starts_clusters_of_growing_size_and_several_workers(
    shell: dict[str, str], tmp_path: Path
) -> None:
    del shell["CELERY_BROKER_URL"]
    done = producer(
        *("scale", "io", "--quick", "--workers", "4", "--models", "broker-queue-batched"),
        *("--json", "scale.json"),
        env=shell,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = load(tmp_path / "scale.json", Scaling)
    assert {(layout.workers, layout.each) for layout in result.layouts} == {(1, 1), (1, 2), (1, 4), (2, 2)}
    rounds = {point.round for point in result.points}
    assert len(result.points) == 4 * len(rounds)
    assert all(point.cpu.workers is not None for point in result.points)
