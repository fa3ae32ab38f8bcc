"""What tests of commands share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from producer.cluster import Cluster


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that uses the tests' cluster."""
    return {
        **os.environ,
        "CELERY_BROKER_URL": cluster.url,
        "BREAKEVEN_QUEUE": cluster.queue,
        "BREAKEVEN_KEY_FILE": str(cluster.key_file),
        "NO_COLOR": "1",
    }
