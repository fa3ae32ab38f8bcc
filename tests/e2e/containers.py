"""What the tests of the containers stand on: an engine that builds and runs them, and a cluster of them.

An `Engine` is the machine's own Docker, or one that is kept beside this repository for machines that
have none. Containers of the latter run in a network of their own, where `Engine.reach` can look in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
#: The engine beside this repository: see its own header.
TOOL = ROOT.parent / "shared" / "tools" / "docker-engine"
#: The image under test, by a name that is not the user's.
IMAGE = "breakeven:e2e"

Value = TypeVar("Value")


def run(
    command: Iterable[str],
    *,
    check: bool = True,
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it said; if it fails, say what it said.

    Args:
        command: the command and its arguments.
        check: whether an exit code other than 0 fails the test.
        timeout: in seconds.
        env: its environment.
        text: its standard input.
    """
    words = list(command)
    done = subprocess.run(
        words, check=False, timeout=timeout, env=env, input=text, capture_output=True, text=True, cwd=ROOT
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(words)} ended with {done.returncode}\n{done.stdout[-8000:]}{done.stderr[-8000:]}"
        )
    return done


def wait_until(condition: Callable[[], Value], *, seconds: float, what: str) -> Value:
    """Return the first true value that `condition` returns within so many seconds.

    Raises:
        AssertionError: it returned none; `what` says what was waited for.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"after {seconds} s still not: {what}"
        time.sleep(0.2)


@dataclass(frozen=True)
class Engine:
    """Runs the `docker` command.

    Attributes:
        environment: the environment that the command needs.
        tool: what starts and stops the engine; None for the machine's own, which just is there.
    """

    environment: Mapping[str, str]
    tool: Path | None = None

    def docker(self, *arguments: str, **options: Any) -> str:
        """Run `docker` with these arguments and return its standard output."""
        return run(["docker", *arguments], env=self.environment, **options).stdout

    def build(self) -> None:
        """Build the image."""
        if self.tool:
            run([str(self.tool), "builds"])
            # Containers that build have no network of their own there.
            self.docker("build", "--quiet", "--network", "host", "--tag", IMAGE, ".", timeout=600)
        else:
            self.docker("build", "--quiet", "--tag", IMAGE, ".", timeout=600)

    def start(self) -> None:
        """Be ready to run containers."""
        if self.tool:
            run([str(self.tool), "runs"])

    def stop(self) -> None:
        """Stop, with all that runs on it, unless it is the machine's own."""
        if self.tool:
            run([str(self.tool), "stop"])

    def reach(self, *command: str, env: Mapping[str, str] | None = None, **options: Any) -> Any:
        """Run a command where published ports can be reached."""
        prefix = [str(self.tool), "exec"] if self.tool else []
        return run([*prefix, *command], env={**os.environ, **(env or {})}, **options)

    def get(self, url: str, *, user: str = "", timeout: float = 10) -> tuple[int, str]:
        """GET a URL of a published port and return the status and the body; (0, why) without an answer.

        Args:
            url: what to get.
            user: `name:password`.
            timeout: in seconds.
        """
        script = Path(__file__).with_name("get_url.py")
        done = self.reach(sys.executable, str(script), url, str(timeout), env={"HTTP_USER": user})
        status, _, body = done.stdout.partition("\n")
        return int(status), body


@dataclass(frozen=True)
class Cluster:
    """The services of compose.yaml, run under a project name of its own.

    Attributes:
        engine: where.
        project: Compose's name for it all.
        settings: what compose.yaml reads from the environment.
        files: the compose files.
    """

    engine: Engine
    project: str
    settings: Mapping[str, str]
    files: tuple[str, ...] = ("compose.yaml",)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the `docker compose` command."""
        return {**self.engine.environment, "BREAKEVEN_IMAGE": IMAGE, **self.settings}

    def command(self, *arguments: str) -> list[str]:
        """Return a `docker compose` command for this cluster, deaf to what a user may have set in .env."""
        files = [word for file in self.files for word in ("--file", file)]
        options = ["--project-name", self.project, "--project-directory", str(ROOT), "--env-file", os.devnull]
        return ["docker", "compose", "--progress", "quiet", *options, *files, *arguments]

    def compose(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` with these arguments."""
        return run(self.command(*arguments), env=self.environment, **options)

    def up(self, *arguments: str, timeout: float = 180) -> None:
        """Start services, and wait until they are healthy."""
        self.compose("up", "--no-build", "--wait", "--wait-timeout", "120", *arguments, timeout=timeout)

    def scale(self, workers: int) -> None:
        """Have so many worker containers, all healthy."""
        self.up("--no-recreate", "--scale", f"worker={workers}", "worker")

    def producer(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the producer once, on the containers that are up."""
        return self.compose("run", "--rm", "--no-deps", "-T", "producer", *arguments, **options)

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """Return what `docker inspect` tells of each container, those that ended included."""
        chosen = [f"label=com.docker.compose.project={self.project}"]
        if service:
            chosen.append(f"label=com.docker.compose.service={service}")
        filters = [word for one in chosen for word in ("--filter", one)]
        ids = self.engine.docker("ps", "--all", "--quiet", *filters).split()
        return json.loads(self.engine.docker("inspect", *ids)) if ids else []

    def container(self, service: str) -> str:
        """Return the id of the one container of a service."""
        (found,) = self.containers(service)
        return str(found["Id"])

    def events(self, since: float) -> list[tuple[str, str]]:
        """Return what happened to the containers since then, in order: (service, what)."""
        filters = (
            "--filter",
            "type=container",
            "--filter",
            f"label=com.docker.compose.project={self.project}",
        )
        span = ("--since", f"{since:.6f}", "--until", str(int(time.time()) + 1))
        lines = self.engine.docker("events", *span, *filters, "--format", "json").splitlines()
        told = [json.loads(line) for line in lines]
        return [(one["Actor"]["Attributes"]["com.docker.compose.service"], one["Action"]) for one in told]

    def log(self, service: str) -> str:
        """Return everything that a service has written."""
        done = self.compose("logs", "--no-color", "--no-log-prefix", service)
        return done.stdout + done.stderr

    def down(self) -> None:
        """Remove everything, whatever profile it came with."""
        words = ("--volumes", "--remove-orphans", "--timeout", "5")
        self.compose("--profile", "*", "down", *words, timeout=180)

    def left(self) -> dict[str, list[str]]:
        """Return what there is of it: containers, volumes and networks."""
        ours = ("--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
        return {
            "containers": self.engine.docker("ps", "--all", *ours).split(),
            "volumes": self.engine.docker("volume", "ls", *ours).split(),
            "networks": self.engine.docker("network", "ls", *ours).split(),
        }
