"""`producer faults`: the drill on a cluster of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from rig import BOUND


def test_the_drill_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """It is interrupted once its first part is over: Celery's defaults need no test of ours."""
    file = tmp_path / "faults.json"
    drill = subprocess.Popen(
        [sys.executable, "-m", "producer", "faults", "--quick", "--json", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        assert drill.stderr is not None
        lines = iter(drill.stderr.readline, "")
        before = []
        for line in lines:
            if line.startswith("Celery's defaults"):
                break
            before.append(line)
        drill.send_signal(signal.SIGINT)
        out, _ = drill.communicate(timeout=BOUND)
    finally:
        drill.kill()
        drill.communicate()
    assert drill.returncode == 130
    assert sum("killed worker" in line for line in before) == 2
    (ours,) = json.loads(file.read_text())["drills"]
    assert ours["delivered"] == ours["calls"] == 120
    assert ours["twice"] == 0
    assert "breakeven" in out
    assert "120/120" in out
