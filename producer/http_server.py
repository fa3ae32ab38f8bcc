"""The HTTP server of the `fetch` workload: it answers each GET after the delay that its path names.

It runs in a process of its own, so that it takes no turn of the event loop or the GIL of what it helps to
measure, and it ends when its parent does: its standard input is a pipe that only the parent holds open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: The name under which workers reach the server, where they are on other machines. Setting it makes the
#: server listen on every interface; without it, it listens on this machine's loopback only.
HOST_VARIABLE = "BREAKEVEN_HTTP_HOST"

#: Connections that may wait to be accepted: more than any fan-out opens at once.
_BACKLOG = 4096
_LONGEST = 3600.0


@contextmanager
def serving() -> Iterator[str]:
    """Run the server for as long as the body runs.

    Yields:
        Its URL, to which a delay in seconds is appended: `http://127.0.0.1:4711/0.1`.

    Raises:
        OSError: it did not start.
    """
    host = os.environ.get(HOST_VARIABLE)
    command = [sys.executable, "-m", "producer.http_server", "0.0.0.0" if host else "127.0.0.1"]  # noqa: S104
    # A session of its own: Ctrl-C is for the parent, which then closes the pipe.
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    with server:
        try:
            assert server.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
            port = server.stdout.readline().strip()
            if not port:
                raise OSError(f"the HTTP server did not start (exit code {server.wait()})")
            yield f"http://{host or '127.0.0.1'}:{port}"
        finally:
            with contextlib.suppress(OSError):
                server.stdin.close()  # type: ignore[union-attr]
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()


async def _serve(address: str) -> None:
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application, RequestHandler

    class Delay(RequestHandler):  # type: ignore[misc]
        async def get(self, seconds: str) -> None:
            await asyncio.sleep(min(float(seconds), _LONGEST))
            self.write(f"after {seconds} s\n")

        def log_exception(self, *args: Any) -> None:
            """Say nothing: a client that gives up is no news."""

    application = Application([(r"/(\d+(?:\.\d+)?)", Delay)], log_function=lambda _: None)
    sockets = bind_sockets(0, address, backlog=_BACKLOG)
    HTTPServer(application).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)  # noqa: T201, RUF100
    await asyncio.Event().wait()


def _leave_with_parent() -> None:
    os.read(0, 1)  # returns when the other end is closed
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    asyncio.run(_serve(sys.argv[1]))
