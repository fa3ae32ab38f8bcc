"""The engine and the clusters of the tests of the containers.

Without an engine, or without a tool that a test needs, the test is skipped and says so; under CI that
fails it (see the conftest.py above).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import IMAGE, ROOT, TOOL, Cluster, Engine, run

#: Modules of the user's own, for the folder that BREAKEVEN_CODE names.
OWN_CODE = '''\
"""Work of a user's own, of which the image knows nothing."""

import time


def double(number, seconds=0.0):
    time.sleep(seconds)
    return 2 * number


def fail(number):
    raise ValueError(f"no luck with {number}")
'''


def _docker_answers() -> bool:
    try:
        return run(["docker", "info"], check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Last, because other containers' names can't be looked up any more when an engine has left a swarm.
    items.sort(key=lambda item: item.path.name == "test_swarm.py")


@pytest.fixture(scope="session")
def docker_command() -> Engine:
    """An engine that need not run yet: enough to read compose files."""
    if _docker_answers():
        return Engine(dict(os.environ))
    if not TOOL.exists():
        pytest.skip("there is no Docker: `docker info` does not answer")
    words = ["bash", "-c", 'eval "$("$0" env)" && env -0', str(TOOL)]
    pairs = (pair.partition("=") for pair in run(words).stdout.split("\0") if pair)
    environment = {name: value for name, _, value in pairs}
    if shutil.which("docker", path=environment["PATH"]) is None:
        pytest.skip(f"there is no Docker: run '{TOOL.name} setup' first")
    return Engine(environment, TOOL)


@pytest.fixture(scope="session")
def engine(docker_command: Engine) -> Iterator[Engine]:
    """An engine that runs, with the image."""
    try:
        docker_command.build()
        docker_command.start()
        yield docker_command
        docker_command.docker("image", "rm", "--force", IMAGE)
    finally:
        docker_command.stop()


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is set in the environment for the clusters of these tests."""
    code = tmp_path_factory.mktemp("code")
    report = tmp_path_factory.mktemp("report")
    code.chmod(0o755)  # the containers' user is another
    shutil.copy(ROOT / "examples" / "primes.py", code)
    shutil.copy(ROOT / "examples" / "primes.jsonl", code)
    (code / "own_code.py").write_text(OWN_CODE)
    return {
        "BREAKEVEN_CODE": str(code),
        "BREAKEVEN_REPORT": str(report),
        "FLOWER_PORT": _free_port(),
        "PROMETHEUS_PORT": _free_port(),
        "OTHER_PORT": _free_port(),
        "WORKER_CPUS": "1",
    }


@pytest.fixture(scope="session")
def code(settings: dict[str, str]) -> Path:
    """The folder of the user's own code."""
    return Path(settings["BREAKEVEN_CODE"])


@pytest.fixture(scope="session")
def report(settings: dict[str, str]) -> Path:
    """The folder for the report files."""
    return Path(settings["BREAKEVEN_REPORT"])


@pytest.fixture(scope="session")
def started(engine: Engine, settings: dict[str, str]) -> Iterator[tuple[Cluster, list[tuple[str, str]]]]:
    """The cluster, and what happened when it was started: (service, what), in order."""
    made = Cluster(engine, "breakeven-e2e", settings)
    made.down()  # what a killed run may have left
    begun = time.time()
    try:
        made.up("redis", "worker", "flower")
        made.compose("run", "--rm", "report-folder")
        yield made, made.events(begun)  # at once: the engine remembers no more than 256
    finally:
        made.down()
        assert not any(made.left().values()), made.left()


@pytest.fixture(scope="session")
def cluster(started: tuple[Cluster, list[tuple[str, str]]]) -> Cluster:
    """The cluster of most tests: a broker, a worker with one process, Flower."""
    return started[0]


@pytest.fixture
def three_workers(cluster: Cluster) -> Iterator[Cluster]:
    """The same cluster with three workers, for one test."""
    try:
        cluster.scale(3)
        yield cluster
    finally:
        cluster.scale(1)


@pytest.fixture(scope="session")
def flower_user(cluster: Cluster) -> str:
    """The name and the password for Flower, as its log tells them."""
    words = next(line for line in cluster.log("flower").splitlines() if "password:" in line).split()
    return f"{words[words.index('user:') + 1]}:{words[words.index('password:') + 1]}"


@pytest.fixture(scope="session")
def flower_address(settings: dict[str, str]) -> str:
    """Flower's address on this machine."""
    return f"http://127.0.0.1:{settings['FLOWER_PORT']}"
