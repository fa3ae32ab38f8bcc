"""A fixed number of interpreters, each with its own GIL, in one process (Python 3.14 and later)."""

from __future__ import annotations

import sys
from concurrent.futures import Executor

from producer.models.bounded import MAX_PENDING, Bounded


def missing() -> str | None:
    """Say why there can be no interpreter pool here; None if there can."""
    if sys.version_info < (3, 14):
        return f"needs Python 3.14 or later; this is {sys.version_info.major}.{sys.version_info.minor}"
    return None


def interpreter_pool(max_workers: int, *, max_pending: int = MAX_PENDING) -> Executor:
    """Return the standard library's interpreter pool, with a bound on the calls that wait.

    Functions and arguments are pickled, and each interpreter imports its own copy of every module; a C
    extension that does not allow that fails the calls that need it.

    Args:
        max_workers: interpreters, each on a thread of its own.
        max_pending: calls that may be unfinished; above that `submit` waits.

    Raises:
        RuntimeError: this Python has none.
    """
    if sys.version_info >= (3, 14):
        from concurrent.futures import InterpreterPoolExecutor

        class Pool(Bounded, InterpreterPoolExecutor):
            """`InterpreterPoolExecutor` with the bound."""

        # A new interpreter looks for modules where Python does by itself, and not where this one was told to.
        return Pool(
            max_workers,
            thread_name_prefix="interpreter-pool",
            initializer=exec,
            initargs=(f"import sys; sys.path[:] = {sys.path!r}",),
            max_pending=max_pending,
        )
    raise RuntimeError(f"an interpreter pool {missing()}")
