"""Fan out: the user's own work through one model, results streamed as they come.

    inputs ─▶ feeder thread ─▶ executor ─▶ done ─▶ [wait for its turn] ─▶ results, one by one
                  ▲ a slot for each call                                        │
                  └──────────────────────── slot free again ◀───────────────────┘

At most `WINDOW` calls are between reading an input and handing on its result, so memory stays the same for
ten inputs and for ten million, and a slow reader of the results slows down the reading of inputs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from producer.experiments.job import Arguments
from producer.measurement.trace import Failure, StalledError, outcome_of
from worker.call import Call, Outcome

#: Calls on their way at a time. Enough to keep every worker of a large cluster busy.
WINDOW = 1_000


@dataclass(frozen=True, slots=True)
class _Ended:
    """The feeder is through: so many calls were submitted, and perhaps an error ended it."""

    calls: int
    error: BaseException | None


def fan_out(
    executor: Executor,
    entry: Callable[[Call], Any],
    function: Callable[..., Any],
    inputs: Iterable[Arguments],
    *,
    ordered: bool = True,
    timeout: float | None = None,
    on_done: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Outcome | Failure]]:
    """Call `function` with each of `inputs`, and yield each call's index and outcome.

    Args:
        executor: where the calls run. Not shut down here.
        entry: `run`, or `run_async` on an event loop.
        function: what to call.
        inputs: pulled from a thread, as calls end.
        ordered: yield in the order of the inputs; otherwise as calls end.
        timeout: seconds without any call ending after which those on their way are given up; None for no
            limit.
        on_done: called after each call that ended, from the caller's thread.

    Raises:
        StalledError: calls were given up; they have been yielded as failures.
        Exception: what `inputs` raised, or a broken executor, after the outcomes of all calls before it.
    """
    done: queue.SimpleQueue[tuple[int, Future[Outcome]] | _Ended] = queue.SimpleQueue()
    slots = threading.Semaphore(WINDOW)
    stop = threading.Event()
    unyielded: set[int] = set()
    submitted = 0

    def hand_on(index: int, future: Future[Outcome]) -> None:
        done.put((index, future))

    def feed() -> None:
        nonlocal submitted
        error: BaseException | None = None
        try:
            for args, kwargs in inputs:
                slots.acquire()
                if stop.is_set():
                    return
                index, submitted = submitted, submitted + 1
                unyielded.add(index)
                try:
                    future = executor.submit(entry, Call(function, args, kwargs))
                except BaseException as broken:  # noqa: BLE001, RUF100 - it ends the feeder, not in silence
                    future = Future()
                    future.set_exception(broken)
                    error = broken
                future.add_done_callback(partial(hand_on, index))
                if error is not None:
                    break
        except Exception as unreadable:  # a line that is not JSON: the calls before it are good
            error = unreadable
        done.put(_Ended(submitted, error))

    # A daemon: it may wait for input that never comes.
    threading.Thread(target=feed, name="feeder", daemon=True).start()
    ended: _Ended | None = None
    early: dict[int, Outcome | Failure] = {}
    turn = received = 0
    try:
        while ended is None or received < ended.calls:
            idle = received == submitted  # nothing is on its way: it is the input that we wait for
            try:
                item = done.get(timeout=timeout)
            except queue.Empty:
                if idle:  # a call that came meanwhile has the whole of its time before it
                    continue
                break
            if isinstance(item, _Ended):
                ended = item
                continue
            index, future = item
            received += 1
            on_done()
            early[index] = outcome_of(future)
            for due in _due(early, turn) if ordered else [index]:
                turn += 1
                unyielded.discard(due)
                yield due, early.pop(due)
                slots.release()
        else:
            if ended.error is not None:
                raise ended.error
            return
        stalled = StalledError(f"no call ended for {timeout:g} s")
        for index in sorted(unyielded):
            yield index, early[index] if index in early else Failure(stalled)
        raise stalled
    finally:
        stop.set()
        slots.release()


def _due(early: dict[int, Outcome | Failure], turn: int) -> Iterator[int]:
    while turn in early:
        yield turn
        turn += 1
