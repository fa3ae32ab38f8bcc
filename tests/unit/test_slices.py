"""Slices of batches: the time after which a worker hands back the calls that have not begun."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
    import threading, time
    from worker import tasks
    from worker.wire import Reply

    sent = threading.Event()
    tasks._publish = lambda early: early.batch_id == "short" and sent.set()

    def begun(name, seconds):
        one = tasks._Slice(Reply(name, "here", [], []), seconds)
        assert one.take(0)
        return one

    slicer = tasks._Slicer()
    slicer.start()
    slicer.watch(begun("long", 60.0))
    time.sleep(0.1)  # it sleeps until the end of that one
    slicer.watch(begun("short", 0.05))
    print(sent.wait(20))
"""


def test_a_short_slice_after_a_long_one_ends_in_time(tmp_path: Path) -> None:
    """What was expected of the batch before is not what is expected of this one, and calls wait behind it."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env=os.environ | {"BREAKEVEN_KEY_FILE": str(tmp_path / "key")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr
