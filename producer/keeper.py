"""The keeper: a process that runs others for exactly as long as its parent lives.

    python -m producer.keeper DIRECTORY        the directory is removed at the end

Its standard input is a pipe that only the parent holds. Each line there is a JSON object that asks for a
process: `{"argv": [...], "env": {...}, "log": "file"}`; the answer is its pid, on a line of standard output.
When the pipe closes, by the parent's will or by its death (SIGKILL included), the processes are ended, the
first one last, and the directory is removed.

Only the standard library is used, and little of it: the keeper stays small, and is ready in an instant.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

#: Seconds that a process has to end after SIGTERM, before its whole group is killed.
GRACE = 3.0


def main(directory: str) -> None:
    """Keep processes until standard input closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent decides, by closing the pipe
    kept: list[subprocess.Popen[bytes]] = []
    # A process that ended shall not stay behind as a zombie.
    signal.signal(signal.SIGCHLD, lambda *_: [process.poll() for process in kept])
    try:
        for line in sys.stdin:
            wanted = json.loads(line)
            kept.append(start(**wanted))
            print(kept[-1].pid, flush=True)  # noqa: T201, RUF100
    finally:
        # All but the first at once; that is the broker, and the others still take their leave of it.
        for process in kept[1:]:
            process.terminate()
        for process in reversed(kept):
            end(process)
        shutil.rmtree(directory, ignore_errors=True)


def start(argv: list[str], env: dict[str, str], log: str) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that its group can be ended, and Ctrl-C passes it by."""
    with open(log, "ab") as output:  # noqa: PTH123 - a Path costs an import
        return subprocess.Popen(
            argv,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_default_signals,  # noqa: PLW1509, RUF100 - the keeper has one thread
        )


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    process.terminate()
    deadline = time.monotonic() + GRACE
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main(sys.argv[1])
