"""What a program may import from `producer`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import producer


@pytest.mark.parametrize("name", producer.__all__)
def test_every_public_name_leads_somewhere(name: str) -> None:
    assert getattr(producer, name).__name__ == name


def test_there_are_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        producer.nothing  # noqa: B018


def test_importing_the_package_loads_no_redis_client() -> None:
    """The command's help and its completion answer at once."""
    program = "import sys, producer.cli; sys.exit('redis' in sys.modules or 'celery' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
