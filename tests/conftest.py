"""What holds for every test: nothing is skipped unseen under CI, and nothing is left behind."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from producer.cluster import Cluster, embedded
from producer.measurement.environment import free_threaded_build

#: Worker processes of the cluster that the tests share.
WORKERS = 2
TESTS = Path(__file__).parent

#: What may be skipped under CI: a pattern for the test's id, and why it can't run there.
MAY_SKIP_UNDER_CI = {
    "*interpreter-pool*": "subinterpreter pools came with Python 3.14",
    "*test_wrong_clocks.py*": "it needs Linux and a C compiler",
    "*test_standard_library.py*": "not every Python comes with its own tests, and some can't apply",
}

#: Where a signing key is made that no test names, in place of the user's own configuration: from before the
#: first test imports the Celery app, which reads the key, to the end of all.
CONFIGURATION = tempfile.TemporaryDirectory(prefix="breakeven-tests-")
os.environ["XDG_CONFIG_HOME"] = CONFIGURATION.name

if free_threaded_build():
    MAY_SKIP_UNDER_CI |= dict.fromkeys(
        [
            "*pictures_are_of_the_saved_runs*",
            "*both_runs_are_on_the_page*",
            "*make_a_page_that_says_what_changed*",
            "*encoded_form_is_read_by_the_library*",
        ],
        "what draws charts, and HdrHistogram, have no wheel for it",
    )

#: Helpers that the standard library starts once and keeps until this process ends.
STANDARD_LIBRARY_HELPERS = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _must_run(node_id: str) -> bool:
    return os.environ.get("CI") == "true" and not any(
        fnmatch.fnmatch(node_id, pattern) for pattern in MAY_SKIP_UNDER_CI
    )


def _fail_if_skipped(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and _must_run(report.nodeid):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"under CI nothing is skipped unless tests/conftest.py lists it: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _fail_if_skipped((yield))


def _processes() -> set[psutil.Process]:
    """Return all processes below this one, but for the standard library's helpers."""
    this = psutil.Process()
    found = set(this.children(recursive=True))
    for process in tuple(found):  # and not children() once more: each look reads all of /proc
        try:
            command = " ".join(process.cmdline()) if process.ppid() == this.pid else ""
        except psutil.Error:
            continue
        if any(name in command for name in STANDARD_LIBRARY_HELPERS):
            found.discard(process)
    return found


#: Processes that belong to fixtures of a wider scope than a test's.
of_fixtures: set[psutil.Process] = set()


def _replaced() -> set[psutil.Process]:
    """Return what a fixture's process has started in place of another: a worker's new pool process."""
    found = set()
    for process in of_fixtures:
        with contextlib.suppress(psutil.Error):
            found.update(process.children())
    return found


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real broker and a real worker with two processes, which can import what the tests send."""
    before = _processes()
    with embedded(WORKERS, paths=[str(TESTS / "integration")]) as running:
        of_fixtures.update(_processes() - before)
        yield running


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    """Fail a test that leaves a process behind."""
    before = _processes()
    yield
    _, left = psutil.wait_procs(_processes() - before - of_fixtures - _replaced(), timeout=10)
    names = []
    for process in left:
        try:
            names.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    assert not names, f"processes left behind: {names}"
