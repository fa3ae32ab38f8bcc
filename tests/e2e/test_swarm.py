"""Docker Swarm: the stack of docs/cluster.md, deployed on a swarm of one machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import IMAGE, Engine, run, wait_until
from test_deployment_files import render_stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

STACK = "breakeven"
SECRETS = {
    "breakeven-signing-key": "signing.key",
    "breakeven-redis-password": "redis.password",
    "breakeven-redis-users": "redis.acl",
    "breakeven-flower-password": "flower.password",
}


@pytest.fixture(scope="module")
def swarm(engine: Engine) -> Iterator[Engine]:
    """An engine that is a swarm, for as long as these tests run."""
    if engine.tool is None and os.environ.get("CI") != "true":
        pytest.skip("this machine's own Docker is not made a swarm, except under CI")
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        node = engine.docker("node", "ls", "--quiet").strip()
        engine.docker("node", "update", "--label-add", "broker=yes", node)
        yield engine
    finally:
        engine.docker("swarm", "leave", "--force")
        engine.docker("network", "rm", "docker_gwbridge", check=False)


@pytest.fixture(scope="module")
def stack(swarm: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(swarm, folder)
    for name, file in SECRETS.items():
        swarm.docker("secret", "create", name, str(folder / file))
    text = render_stack(swarm)
    try:
        swarm.docker(
            "stack", "deploy", "--detach=false", "--compose-file", "-", STACK, text=text, timeout=180
        )
        yield swarm
    finally:
        swarm.docker("stack", "rm", "--detach=false", STACK, check=False)
        swarm.docker("secret", "rm", *SECRETS, check=False)
        ours = ("--filter", "label=com.docker.stack.namespace=" + STACK)
        wait_until(
            lambda: not swarm.docker("ps", "--all", "--quiet", *ours).strip(),
            seconds=60,
            what="all containers of the stack gone",
        )
        for volume in swarm.docker("volume", "ls", "--quiet", *ours).split():
            swarm.docker("volume", "rm", "--force", volume)


def make_secrets(engine: Engine, folder: Path) -> None:
    user = f"{os.getuid()}:{os.getgid()}"
    words = ("--rm", "--user", user, "--network", "none", "--volume", f"{folder}:/secrets")
    engine.docker("run", *words, IMAGE, "secrets", "/secrets")


def containers(engine: Engine, service: str) -> list[str]:
    name = f"label=com.docker.swarm.service.name={STACK}_{service}"
    return engine.docker("ps", "--quiet", "--filter", name).split()


def test_every_service_converges_and_is_healthy(stack: Engine) -> None:
    counts = {"redis": 1, "worker": 2, "flower": 1}
    for service, count in counts.items():
        ids = containers(stack, service)
        assert len(ids) == count, service
        for one in json.loads(stack.docker("inspect", *ids)):
            assert one["State"]["Health"]["Status"] == "healthy"
            assert one["HostConfig"]["ReadonlyRootfs"]
            assert one["HostConfig"]["CapDrop"] == ["ALL"]
            assert one["Config"]["User"] not in {"", "root", "0"}
            assert "redis://" not in json.dumps(one["Config"])


def test_flower_can_be_published_and_wants_a_password(stack: Engine) -> None:
    update = ("--detach=false", "--quiet", "--publish-add", "published=5555,target=5555,mode=host")
    stack.docker("service", "update", *update, f"{STACK}_flower", timeout=180)
    wait_until(
        lambda: stack.get("http://127.0.0.1:5555/healthcheck")[0] == 200,
        seconds=30,
        what="an answer of Flower",
    )
    assert stack.get("http://127.0.0.1:5555/api/workers")[0] == 401


def test_a_producer_runs_as_a_job(stack: Engine) -> None:
    owner = "uid=10001,gid=10001,mode=0400"
    secrets = [
        f"source=breakeven-{name},target=/run/breakeven/{file},{owner}"
        for name, file in (("signing-key", "signing.key"), ("redis-password", "redis.password"))
    ]
    options = [
        *("--name", "producer", "--mode", "replicated-job", "--network", f"{STACK}_cluster"),
        *(word for secret in secrets for word in ("--secret", secret)),
        *("--read-only", "--cap-drop", "ALL", "--init", "--mount", "type=tmpfs,target=/tmp"),
        *("--restart-condition", "none", "--no-resolve-image", "--quiet", "--detach=false"),
    ]
    try:
        words = ("producer", "compare", "fetch", "--quick", "--rounds", "1")
        stack.docker("service", "create", *options, IMAGE, *words, timeout=180)
        done = run(["docker", "service", "logs", "--raw", "producer"], env=stack.environment)
        assert "broker-queue-batched" in done.stdout, done.stderr
    finally:
        stack.docker("service", "rm", "producer", check=False)
