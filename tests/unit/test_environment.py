"""The machine as a run describes it; cores in reach are what a container's quota leaves."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from producer.measurement.environment import (
    _cgroup_quota,
    cores_in_reach,
    environment,
    free_threaded_build,
    gil,
)


@pytest.fixture
def membership(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_it_names_this_python_and_system() -> None:
    found = environment()
    assert found.python == f"{platform.python_implementation()} {platform.python_version()}"
    assert found.system.startswith(platform.system())
    assert found.processor


def test_it_names_the_versions_that_figures_depend_on() -> None:
    assert {"breakeven", "celery", "redis", "numpy", "scipy"} <= set(environment().versions)


def test_cores_in_reach_are_no_more_than_there_are() -> None:
    assert 1 <= cores_in_reach() <= (os.cpu_count() or 1)


def test_cores_in_reach_follow_the_affinity() -> None:
    if not hasattr(os, "sched_setaffinity"):
        return  # macOS knows none
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores_in_reach() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_only_a_python_built_without_it_can_lack_the_global_lock() -> None:
    assert gil() or free_threaded_build()


@pytest.mark.parametrize(
    ("line", "quota"), [("50000 100000", 0.5), ("250000 100000\n", 2.5), ("max 100000", None)]
)
def test_a_quota_of_version_2_is_read(
    tmp_path: Path, membership: Path, line: str, quota: float | None
) -> None:
    membership.write_text("0::/box\n")
    group(tmp_path / "fs" / "box", cpu__max=line)
    assert _cgroup_quota(membership, tmp_path / "fs") == quota


def test_the_least_quota_of_all_groups_above_holds(tmp_path: Path, membership: Path) -> None:
    membership.write_text("0::/outer/inner\n")
    group(tmp_path / "fs" / "outer", cpu__max="100000 100000")
    group(tmp_path / "fs" / "outer" / "inner", cpu__max="300000 100000")
    assert _cgroup_quota(membership, tmp_path / "fs") == 1.0


def test_a_quota_at_the_root_holds(tmp_path: Path, membership: Path) -> None:
    """In a container with a cgroup namespace of its own, the root is the container's group."""
    membership.write_text("0::/\n")
    group(tmp_path / "fs", cpu__max="150000 100000")
    assert _cgroup_quota(membership, tmp_path / "fs") == 1.5


def test_nothing_above_the_mount_is_read(tmp_path: Path, membership: Path) -> None:
    membership.write_text("0::/box\n")
    group(tmp_path / "fs" / "box")
    group(tmp_path, cpu__max="10000 100000")
    assert _cgroup_quota(membership, tmp_path / "fs") is None


@pytest.mark.parametrize(("microseconds", "quota"), [("150000", 1.5), ("-1", None)])
def test_a_quota_of_version_1_is_read(
    tmp_path: Path, membership: Path, microseconds: str, quota: float | None
) -> None:
    membership.write_text("5:cpu,cpuacct:/box\n4:memory:/box\n")
    group(tmp_path / "fs" / "cpu" / "box", cpu__cfs_quota_us=microseconds, cpu__cfs_period_us="100000")
    assert _cgroup_quota(membership, tmp_path / "fs") == quota


def test_a_damaged_quota_is_no_quota(tmp_path: Path, membership: Path) -> None:
    membership.write_text("0::/box\n")
    group(tmp_path / "fs" / "box", cpu__max="nonsense")
    assert _cgroup_quota(membership, tmp_path / "fs") is None


def test_a_system_without_cgroups_has_no_quota(tmp_path: Path) -> None:
    assert _cgroup_quota(tmp_path / "missing", tmp_path) is None
