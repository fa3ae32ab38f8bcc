"""The server of the fetch workload answers after the delay that was asked for, and leaves with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest
from processes_for_tests import left

from producer.http_server import HOST_VARIABLE, serving


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - this test's own server
        return str(response.read().decode())


def servers() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children() if "producer.http_server" in " ".join(child.cmdline())
    ]


def test_it_answers_each_path_with_its_delay() -> None:
    with serving() as url:
        assert get(f"{url}/0.01") == "after 0.01 s\n"
        assert get(f"{url}/0") == "after 0 s\n"


def test_it_listens_on_the_loopback_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOST_VARIABLE, raising=False)
    with serving() as url:
        addresses = {c.laddr.ip for c in servers()[0].net_connections() if c.status == psutil.CONN_LISTEN}
        assert url.startswith("http://127.0.0.1:")
    assert addresses == {"127.0.0.1"}


def test_a_named_host_is_in_the_url_and_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_VARIABLE, "localhost")
    with serving() as url:
        assert url.startswith("http://localhost:")
        assert get(f"{url}/0") == "after 0 s\n"


def test_it_ends_with_the_body() -> None:
    with serving():
        (server,) = servers()
    assert not server.is_running()


def test_it_ends_when_the_body_raises() -> None:
    seen: list[psutil.Process] = []

    def body() -> None:
        with serving():
            seen.extend(servers())
            raise LookupError

    with pytest.raises(LookupError):
        body()
    assert [server.is_running() for server in seen] == [False]


def test_it_ends_when_its_parent_is_killed() -> None:
    """Killed, the parent can close nothing itself; the system closes its end of the pipe."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from producer.http_server import serving\n"
            "with serving() as url: print(url, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("http://")
        children = psutil.Process(parent.pid).children()
        os.kill(parent.pid, signal.SIGKILL)
    assert children
    assert left(children) == []
