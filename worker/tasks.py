"""run_calls: the cluster's one task. A batch of calls in, a batch of outcomes out.

    parent process of the worker              pool process (child)
    ----------------------------              -------------------------------------------
    takes a message, checks its signature,
    claims it (worker.guard)              --> runs call after call, but for those that were cancelled
    keeps its lease alive (worker.lease)      stores the reply, which also publishes it
    acknowledges the message              <-- done
    (or: the child died; notes it,
     and gives the message back)

A child that dies, or a whole worker, leaves the message unacknowledged, and it is delivered again. A batch
under which a process died is taken apart: its calls come back one by one, so the one that kills its
process is found out, and fails alone.
"""

from __future__ import annotations

import inspect
import logging
import math
import pickle
import threading
import time
import traceback
from typing import Any

from billiard.common import terminate_handler_fired
from celery import Task
from celery.exceptions import Ignore, SoftTimeLimitExceeded, WorkerLostError
from celery.worker.request import Request

from worker import keys, wire
from worker.app import KEY, app
from worker.call import here
from worker.ledger import Claim, Ledger
from worker.wire import CANCELLED, LOST, RAISED, RETURNED, PackedCall, PackedFunction, PackedOutcome, Reply

logger = logging.getLogger(__name__)


class _Request(Request):
    """Celery's view of a message in the worker's parent process; it notes of what a process died."""

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        error = exc_info.exception
        # Celery wraps an error with its traceback, and tells a SystemExit apart only in what it calls next.
        error = getattr(error, "exc", error)
        told_to_end = self._already_cancelled or self._already_revoked
        if isinstance(error, WorkerLostError | SystemExit) and not told_to_end:
            try:
                _ledger().crashed(self.id, str(error) or f"exit code {error.args!r}")
            except Exception as problem:  # the broker is away: the message comes back in any case
                logger.warning("can't note that a process died under %s: %s", self.id, problem)
        return super().on_failure(exc_info, *args, **kwargs)


#: Bytes of outcomes after which the calls that have not begun are handed back: a thousand results of a
#: megabyte are more than a reply can carry.
FULL = 16_000_000

_TOO_LONG = "the call ran longer than its time limit"


class _Pool:
    """What a process keeps between batches."""

    ledger: Ledger | None = None
    slicer: _Slicer | None = None


def _ledger() -> Ledger:
    if _Pool.ledger is None:
        _Pool.ledger = Ledger(app.backend.client)
    return _Pool.ledger


@app.task(name=wire.TASK, bind=True, Request=_Request)
def run_calls(
    task: Task,
    batch_id: str,
    functions: list[PackedFunction],
    calls: list[PackedCall],
    slice_seconds: float,
) -> Reply:
    """Run the calls of a batch, one after another.

    Args:
        task: the Celery task, which knows the message that is being worked on.
        batch_id: the id under which the sender expects the reply; the message's own id.
        functions: the functions that the calls refer to.
        calls: what to run.
        slice_seconds: when this much time has passed, the outcomes that are there are sent, and the calls
            that have not begun are handed back. So are those that come after FULL bytes of outcomes.

    Returns:
        an outcome for each call that ran. A call that raises spoils nobody else's outcome.
    """
    if task.request.id != batch_id:  # a signed body under another message's name
        raise Ignore
    claim = Claim(*task.request.claim)
    reply = Reply(batch_id, here(), [], [(0, 0.0)] * len(functions), claim.deliveries)
    if claim.hopeless and len(calls) == 1:
        times = max(claim.crashes, claim.deliveries - 1)
        reply.outcomes.append((LOST, f"{times} times: {claim.cause or 'its worker was lost each time'}"))
        return reply
    if (claim.crashes and len(calls) > 1) or claim.hopeless:
        reply.suspect = True
        return reply
    unpacked: list[Any] = [None] * len(functions)
    size = 0
    with _slice(reply, slice_seconds, len(calls)) as mine:
        for index, (function_index, arguments) in enumerate(calls):
            if size >= FULL or not mine.take(index):
                break
            if index in claim.cancelled:
                reply.outcomes.append((CANCELLED,))
                continue
            if unpacked[function_index] is None:
                unpacked[function_index] = _unpack(functions[function_index])
            begun = time.monotonic()
            outcome = _run(unpacked[function_index], arguments)
            reply.outcomes.append(outcome)
            size += len(outcome[1])
            count, seconds = reply.busy[function_index]
            reply.busy[function_index] = (count + 1, seconds + time.monotonic() - begun)
    return reply


class _Slice:
    """The time that a batch has. When it is over, calls that have not begun go to other workers."""

    def __init__(self, reply: Reply, seconds: float) -> None:
        self._reply = reply
        self.end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._next = 0
        self._over = False

    def __enter__(self) -> _Slice:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over = True

    def take(self, index: int) -> bool:
        """Begin call `index`; return False if it is handed back."""
        with self._lock:
            self._next = index + 1
            return not self._over

    def hand_back(self) -> Reply | None:
        """End the slice; return what is to be sent early, or None if it had ended."""
        with self._lock:
            if self._over or not self._next:
                return None
            self._over = True
            running = self._next - 1
        reply = self._reply
        return Reply(
            reply.batch_id,
            reply.worker,
            reply.outcomes[:running],
            list(reply.busy),
            reply.deliveries,
            running=running,
        )


class _Lone(_Slice):
    """A call that travels alone has nobody to hand back."""

    def __init__(self) -> None:
        """Need nothing."""

    def __exit__(self, *_: object) -> None:
        """Leave nothing."""

    def take(self, index: int) -> bool:  # noqa: ARG002
        return True


_LONE = _Lone()


def _slice(reply: Reply, seconds: float, calls: int) -> _Slice:
    if calls == 1:
        return _LONE
    if _Pool.slicer is None or not _Pool.slicer.is_alive():
        _Pool.slicer = _Slicer()
        _Pool.slicer.start()
    return _Pool.slicer.watch(_Slice(reply, seconds))


class _Slicer(threading.Thread):
    """Watches the slice of the batch that runs, from a thread, since the call that runs knows nothing of it.

    It sleeps until that ends, or for good while there is nothing to watch; a batch that comes meanwhile wakes
    it only if it ends earlier. What it can't do: act while a call holds the GIL in C code.
    """

    def __init__(self) -> None:
        super().__init__(name="slicer", daemon=True)
        self._changed = threading.Condition()
        self._watched: _Slice | None = None
        self._until = math.inf  # it sleeps

    def watch(self, some: _Slice) -> _Slice:
        """Watch a slice instead of the one before."""
        with self._changed:
            self._watched = some
            if some.end < self._until:
                self._changed.notify()
        return some

    def run(self) -> None:
        """Watch one slice after the other."""
        while True:
            early = self._next_over().hand_back()
            if early is not None:
                try:
                    _publish(early)
                except Exception as error:  # all of it is in the last reply, too: only later
                    logger.warning("can't send early what %s has: %s", early.batch_id, error)

    def _next_over(self) -> _Slice:
        """Sleep until the slice that is watched then is over, and return it."""
        with self._changed:
            while True:
                watched = self._watched
                if watched is not None and watched.end <= time.monotonic():
                    self._watched = None
                    return watched
                self._until = math.inf if watched is None else watched.end
                self._changed.wait(None if watched is None else watched.end - time.monotonic())


def _publish(early: Reply) -> None:
    """Send a reply that is not the last one: published like that, and not stored."""
    meta = {"task_id": early.batch_id, "status": "STARTED", "result": early}
    app.backend.client.publish(keys.result(early.batch_id), KEY.dumps(meta))


def _unpack(packed: PackedFunction) -> Any:
    try:
        return wire.unpack_function(packed)
    except wire.CallError as error:
        return error


def _run(function: Any, arguments: bytes) -> PackedOutcome:
    if isinstance(function, wire.CallError):
        return _raised(function)
    try:
        args, kwargs = _load_arguments(arguments)
        value = function(*args, **kwargs)
    except SoftTimeLimitExceeded:
        return _raised(TimeoutError(_TOO_LONG))
    except BaseException as error:
        if terminate_handler_fired():  # this process was told to end: the call is not over, only here
            raise
        return _raised(error)
    try:
        return (RETURNED, wire.dumps(value))
    except SoftTimeLimitExceeded:
        return _raised(TimeoutError(_TOO_LONG))
    except BaseException as error:
        advice = "return plain data"
        if inspect.iscoroutine(value):
            value.close()  # it was never awaited, and need not be
            advice = "the function is async: submit one that runs it with asyncio.run"
        problem = wire.CallError(
            f"the result, of type {type(value).__qualname__}, can't be pickled: {wire.text_of(error)}; "
            f"{advice}"
        )
        problem.__cause__ = error
        return _raised(problem)


def _load_arguments(data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        raise wire.CallError(
            f"this worker can't load the arguments: {type(error).__name__}: {wire.text_of(error)}; "
            "give the workers the same code and the same versions of libraries"
        ) from error


def _raised(error: BaseException) -> PackedOutcome:
    return (RAISED, wire.pack_error(error), "".join(traceback.format_exception(error)))
