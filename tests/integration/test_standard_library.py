"""The standard library's own tests of executors, run on `CeleryExecutor`.

They come from the interpreter's `test` package, where it is installed. Left out are those of threads that
share memory with the caller, and those that read what a call prints: here it goes to the worker's log.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator

import pytest

from producer import CeleryExecutor
from producer.cluster import Cluster, embedded

PACKAGE = "test.test_concurrent_futures"
PROCESSES = 5  # as many as the tests expect a pool to have

shutdown = pytest.importorskip(f"{PACKAGE}.test_shutdown", reason="this Python has no test package")
wait, as_completed, executor, future, util = (
    importlib.import_module(f"{PACKAGE}.{name}")
    for name in ("test_wait", "test_as_completed", "executor", "test_future", "util")
)

#: Tests that can't apply, and why.
LEFT_OUT = {
    "test_interpreter_shutdown": "reads what the call prints (test_celery_executor.py has one of its own)",
    "test_submit_after_interpreter_shutdown": "starts the executor by its name in concurrent.futures",
    "test_hang_gh83386": "reads what the call prints",
    "test_cancel_futures": "wants some of the calls to have begun; here all are still to be cancelled",
}


@pytest.fixture(scope="module", autouse=True)
def five_processes() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch, embedded(PROCESSES) as cluster:
        OnCluster.cluster = cluster
        patch.setenv("CELERY_BROKER_URL", cluster.url)
        yield cluster


class _Executor(CeleryExecutor):
    def __init__(self, max_workers: int | None = None) -> None:
        cluster = OnCluster.cluster
        super().__init__(max_workers, queue=cluster.queue, key_file=cluster.key_file)


class OnCluster(util.ExecutorMixin):
    cluster: Cluster
    executor_type = _Executor
    worker_count = PROCESSES

    def setUp(self) -> None:
        for name, why in LEFT_OUT.items():
            if self._testMethodName == name:
                self.skipTest(why)
        super().setUp()


class TestWait(OnCluster, wait.WaitTests, util.BaseTestCase): ...


class TestAsCompleted(OnCluster, as_completed.AsCompletedTests, util.BaseTestCase): ...


class TestSubmitAndMap(OnCluster, executor.ExecutorTest, util.BaseTestCase): ...


class TestShutdown(OnCluster, shutdown.ExecutorShutdownTest, util.BaseTestCase): ...


class TestFutures(future.FutureTests):
    def setUp(self) -> None:
        super().setUp()
        # Some tests read what the standard library logs from standard error, where it goes unless handled.
        root = logging.getLogger()
        handlers, root.handlers = root.handlers, []
        self.addCleanup(setattr, root, "handlers", handlers)
