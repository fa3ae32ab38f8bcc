"""Runs `producer` as a shell does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

BOUND = 60
QUEUES = "broker-queue,broker-queue-batched"
Producer = Any


def producer(
    *arguments: str, env: dict[str, str], cwd: Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "producer", *arguments],
        capture_output=True,
        text=True,
        env=env,
        cwd=cwd,
        input=stdin,
        timeout=BOUND,
    )
