"""Rare uses of `CeleryExecutor`, which must neither hang nor harm: user code at every turn, forks, sizes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import BrokenExecutor, CancelledError, ProcessPoolExecutor, wait
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any, NoReturn

import calls_for_tests
import pytest
from waiting import BOUND, until

from producer import CeleryExecutor
from producer.cluster import Cluster
from worker import wire


def opened(cluster: Cluster, **options: Any) -> CeleryExecutor:
    return CeleryExecutor(
        url=cluster.url, **{"queue": cluster.queue, "key_file": cluster.key_file, **options}
    )


class Slow:
    """An argument that is pickled until `go` is set; then it raises, or is 5."""

    def __init__(self, *, raises: bool = False) -> None:
        self.packing, self.go, self.raises = threading.Event(), threading.Event(), raises

    def __reduce__(self) -> Any:
        self.packing.set()
        assert self.go.wait(BOUND)
        if self.raises:
            raise ValueError("no luck")
        return (int, (5,))


@dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class Frozen:
    """An argument that can't be pickled; its error lets nobody add a note."""

    def __reduce__(self) -> NoReturn:
        raise FrozenError(7)


class Rude:
    """An argument that ends whoever wants to know what it looks like."""

    def __repr__(self) -> NoReturn:
        raise SystemExit(3)


def leave() -> NoReturn:
    raise SystemExit(3)


def test_a_call_that_is_being_packed_ends_with_its_executor(cluster: Cluster) -> None:
    """It is neither in the queue nor in the broker then."""
    executor, argument = opened(cluster, batch=2), Slow()
    futures = [executor.submit(abs, -1), executor.submit(abs, argument)]
    assert argument.packing.wait(BOUND)
    killer = threading.Thread(target=executor.kill)
    killer.start()
    try:
        assert not wait(futures[1:], BOUND).not_done
    finally:
        argument.go.set()
        killer.join(BOUND)
    assert not wait(futures, BOUND).not_done
    with pytest.raises(CancelledError):
        futures[1].result()
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)


def test_a_call_that_is_being_packed_can_be_cancelled(cluster: Cluster) -> None:
    with opened(cluster) as executor:
        argument = Slow()
        future = executor.submit(abs, argument)
        assert argument.packing.wait(BOUND)
        assert future.cancel()
        argument.go.set()
        assert executor.submit(abs, -2).result(BOUND) == 2


def test_calls_that_come_back_while_another_is_packed_are_not_lost(cluster: Cluster, tmp_path: Path) -> None:
    """A process dies under a batch, whose calls return to the queue in front of the one that fails."""
    with opened(cluster, batch=3) as executor:
        executor.submit(abs, 0).result(BOUND)
        together = [executor.submit(calls_for_tests.die_once, str(tmp_path / "died"), n) for n in range(3)]
        argument = Slow(raises=True)
        failing = executor.submit(abs, argument)
        assert argument.packing.wait(BOUND)
        last = executor.submit(abs, -4)
        until((tmp_path / "died").exists, "a process to die")
        argument.go.set()
        assert [future.result(BOUND) for future in together] == [0, 1, 2]
        assert isinstance(failing.exception(BOUND), ValueError)
        assert last.result(BOUND) == 4


def test_user_code_in_the_executor_s_threads_ends_no_other_call(cluster: Cluster) -> None:
    """Pickling, repr and callbacks run there."""
    with opened(cluster) as executor:
        # Since Python 3.14 pickle itself tries to add a note, and fails.
        frozen = executor.submit(abs, Frozen()).exception(BOUND)
        assert isinstance(frozen, FrozenError | FrozenInstanceError)
        assert isinstance(executor.submit(str, Rude()).exception(BOUND), SystemExit)
        leaving = executor.submit(leave)
        leaving.add_done_callback(lambda future: future.result())
        assert isinstance(leaving.exception(BOUND), SystemExit)
        assert executor.submit(abs, -3).result(BOUND) == 3


def test_the_timeout_of_map_counts_while_it_waits_for_room(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with opened(cluster, max_pending=2) as executor:
        try:
            results = executor.map(calls_for_tests.hold, [str(gate)] * 5, timeout=0.2)
            with pytest.raises(TimeoutError):
                next(results)
            taken = [executor.submit(calls_for_tests.hold, str(gate)) for _ in range(2)]
            with pytest.raises(TimeoutError):
                list(executor.map(abs, [1, 2], timeout=0.2))
        finally:
            gate.touch()
        assert not wait(taken, BOUND).not_done


def test_results_that_are_too_many_for_a_reply_come_in_several(cluster: Cluster) -> None:
    """Sixty-four of a megabyte: four times what a reply holds, and nothing to it in time."""
    with opened(cluster) as executor:
        list(executor.map(abs, range(200)))
        found = list(executor.map(bytes, [1_000_000] * 64))
    assert [len(data) for data in found] == [1_000_000] * 64


def test_what_no_message_can_carry_fails_its_call_and_no_other(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LARGEST", 1_000_000)
    with opened(cluster) as executor:
        error = executor.submit(len, b"x" * 1_100_000).exception(BOUND)
        assert isinstance(error, wire.TooLargeError)
        assert "more than a message can carry" in str(error)
        assert executor.submit(len, b"x" * 900_000).result(BOUND) == 900_000


def _submit(executor: CeleryExecutor, answer: Any) -> None:
    try:
        executor.submit(abs, 1)
    except BrokenExecutor as error:
        answer.put(str(error))


def test_an_executor_is_of_no_use_in_a_forked_process_and_says_so(cluster: Cluster) -> None:
    context = multiprocessing.get_context("fork")
    with opened(cluster) as executor:
        assert executor.submit(abs, -1).result(BOUND) == 1
        answer = context.Queue()
        child = context.Process(target=_submit, args=(executor, answer))
        child.start()
        assert "make one here" in answer.get(timeout=BOUND)
        child.join(BOUND)
        assert child.exitcode == 0
        assert executor.submit(abs, -2).result(BOUND) == 2


def test_a_forked_process_does_not_keep_an_embedded_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keeper ends when a pipe closes, of which a fork has a copy."""
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        executor = CeleryExecutor(1)
        assert executor.submit(abs, -1).result(BOUND) == 1
        assert pool.submit(abs, -2).result(BOUND) == 2  # forked now
        ended = threading.Thread(target=executor.shutdown)
        ended.start()
        ended.join(BOUND)
        assert not ended.is_alive()


SPAWNED = """
    import multiprocessing, os, sys
    from producer import CeleryExecutor

    def double(n):
        return 2 * n

    def child(path):
        executor = CeleryExecutor(1)
        print(executor.submit(double, 4).result(60), flush=True)
        executor.submit(os.mkdir, path)  # nobody waits for it

    if __name__ == "__main__":
        process = multiprocessing.get_context("spawn").Process(target=child, args=(sys.argv[1],))
        process.start()
        process.join()
"""


def test_a_script_works_in_a_spawned_process_whose_calls_end_before_it_does(tmp_path: Path) -> None:
    """With a temporary directory of an odd name, and somebody else's cluster in the environment."""
    script, made, odd = tmp_path / "script.py", tmp_path / "made", tmp_path / 'a "quoted" name'
    script.write_text(textwrap.dedent(SPAWNED))
    odd.mkdir()
    environment = os.environ | {"TMPDIR": str(odd), "CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/0"}
    environment.pop("CELERY_BROKER_URL", None)
    done = subprocess.run(
        [sys.executable, str(script), str(made)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("8\n", 0), done.stderr
    assert made.is_dir()
    assert not list(odd.iterdir())


def test_modules_of_a_directory_that_the_script_does_not_look_in_are_not_run(tmp_path: Path) -> None:
    """A script of one's own, started in a directory with somebody else's files."""
    mine, foreign = tmp_path / "mine", tmp_path / "foreign"
    mine.mkdir()
    foreign.mkdir()
    (foreign / "vine.py").write_text("raise SystemExit('this was run')\n")
    script = mine / "script.py"
    script.write_text(
        "from producer import CeleryExecutor\n"
        "with CeleryExecutor(1) as executor: print(executor.submit(abs, -8).result(60))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CELERY_BROKER_URL"}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=foreign,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("8\n", 0), done.stderr
