"""What the fault tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import Rig


@pytest.fixture
def rig(tmp_path: Path, no_process_left: None) -> Iterator[Rig]:
    """A broker of the test's own, and workers that it starts, kills and starts again."""
    made = Rig(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def lasting(tmp_path: Path, no_process_left: None) -> Iterator[Rig]:
    """Like `rig`, with a broker that keeps an append-only file."""
    made = Rig(tmp_path, append_only=True)
    try:
        yield made
    finally:
        made.close()
