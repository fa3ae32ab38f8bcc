"""The future of a call on the cluster, and what becomes of it when its outcome arrives."""

from __future__ import annotations

import logging
import pickle
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures._base import PENDING, RUNNING
from typing import TYPE_CHECKING, Any

from producer.dispatch.errors import CallError, CallLostError
from worker import wire

if TYPE_CHECKING:
    from producer.dispatch.batch import Batch
    from producer.dispatch.dispatcher import Dispatcher

logger = logging.getLogger(__name__)


class _Condition(threading.Condition):
    """A condition that has a queue of waiters only once somebody waits.

    `threading.Condition` keeps that queue, and five methods of its lock, in each of its instances: of the
    twelve objects that make a future they are more than half. The garbage collector looks at all of them
    again and again, which took as much time as everything else that a short call needs.
    """

    def __init__(self) -> None:
        # Instead of that of `threading.Condition`, which makes what shall not be made.
        self._lock = threading.RLock()
        self._waiters: Any = ()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until notified, or for so many seconds; the caller has the lock."""
        if not self._waiters:
            self._waiters = deque()
        return super().wait(timeout)

    def notify_all(self) -> None:
        """Wake those who wait; the caller has the lock."""
        if self._waiters:
            super().notify_all()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Let go of the lock."""
        self._lock.release()

    def locked(self) -> bool:
        """Tell whether anybody has the lock; locks can since Python 3.14."""
        return self._lock.locked()  # type: ignore[attr-defined,no-any-return]

    # What `threading.Condition` asks of its lock:

    def _is_owned(self) -> bool:
        return self._lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001

    def _release_save(self) -> Any:
        return self._lock._release_save()  # type: ignore[attr-defined]  # noqa: SLF001

    def _acquire_restore(self, state: Any) -> None:
        self._lock._acquire_restore(state)  # type: ignore[attr-defined]  # noqa: SLF001


class CallFuture(Future[Any]):
    """The future of a call on the cluster; it knows where its call is.

    Attributes:
        function, arguments: what was submitted; None once it was sent.
        packed: the same in the form that travels; None before it was packed.
        name: of the function, for people; empty before it was sent.
        limit: seconds that the call may run; None for no limit.
        batch: the batch that it travels in; None while it waits here.
        index: its place in that batch.
        alone: it must not travel in company.
        suspected: a process died under a batch that it travelled in.
        withdrawn: its end is somebody's already, and nobody else's: it was cancelled, can't be sent, or its
            outcome is here.
    """

    def __init__(self, dispatcher: Dispatcher, function: Any, arguments: Any, limit: float | None) -> None:
        # Instead of that of `Future`, for the sake of the condition; a test compares the two.
        self._condition = _Condition()
        self._state = PENDING
        self._result = self._exception = None
        self._waiters: list[Any] = []
        self._done_callbacks: list[Callable[[Future[Any]], object]] = []
        self.dispatcher = dispatcher
        self.function = function
        self.arguments = arguments
        self.packed: tuple[wire.PackedFunction, bytes] | None = None
        self.name = ""
        self.limit = limit
        self.batch: Batch | None = None
        self.index = 0
        self.alone = limit is not None
        self.suspected = False
        self.withdrawn = False

    def cancel(self) -> bool:
        """Cancel the call if it has not started, also where its message is in the broker already.

        That takes one round trip to the broker. A call that has started is not cancelled.
        """
        return self.dispatcher.cancel([self])[0]

    def mark_running(self) -> None:
        """Show that a worker has started the call, unless it is over."""
        # Not set_running_or_notify_cancel, which must not find it resolved by another thread meanwhile.
        with self._condition:
            if self._state == PENDING:
                self._state = RUNNING

    def drop(self) -> None:
        """Become cancelled, and tell those who wait. Only for calls that can't have started."""
        if super().cancel():
            self.set_running_or_notify_cancel()
        else:  # its batch was begun, and so it was taken to run
            quietly(self.set_exception, CancelledError())

    def forget(self) -> None:
        """Let go of the function and its arguments."""
        self.function = self.arguments = self.packed = self.batch = None


def resolve(future: CallFuture, outcome: wire.PackedOutcome) -> None:
    """Give a future its outcome."""
    match outcome:
        case (wire.RETURNED, data):
            try:
                value = pickle.loads(data)
            except BaseException as error:  # whatever it is, it ends this call and not the thread
                quietly(future.set_exception, _unreadable("result", error))
            else:
                quietly(future.set_result, value)
        case (wire.RAISED, data, text):
            cause = wire.RemoteTraceback(text)
            try:
                raised = pickle.loads(data)
                # Not `raised.__cause__ = cause`: the exception's class may forbid attributes to be set.
                BaseException.__setattr__(raised, "__cause__", cause)
            except BaseException as problem:
                raised = _unreadable("exception", problem)
                raised.__cause__ = cause
            quietly(future.set_exception, raised)
        case (wire.LOST, cause):
            quietly(
                future.set_exception,
                CallLostError(f"a worker process died under the call {cause} It was not tried again."),
            )
        case (wire.CANCELLED,):
            quietly(future.drop)
        case (_, failure):
            quietly(future.set_exception, _failure(failure, future))
        case _:
            quietly(future.set_exception, CallError("the worker's reply can't be understood"))


def _unreadable(what: str, error: BaseException) -> CallError:
    made = CallError(
        f"the {what} can't be read here: {type(error).__name__}: {wire.text_of(error)}; it needs the same "
        "code and the same versions of libraries as on the worker"
    )
    made.__cause__ = error
    return made


def _failure(failure: object, future: CallFuture) -> BaseException:
    """Return what a call raises whose whole message failed: an exception, or what Celery makes of one."""
    match failure:
        case {"exc_type": name, "exc_message": message}:
            text = " ".join(map(str, message)) if isinstance(message, list | tuple) else str(message)
        case _:
            name, text = type(failure).__name__, str(failure)
    # A limit may also strike while Celery packs the reply, which makes an EncodeError of it.
    if name in ("TimeLimitExceeded", "SoftTimeLimitExceeded") or text.startswith("SoftTimeLimitExceeded("):
        limit = "" if future.limit is None else f" of {future.limit:g} s"
        return TimeoutError(f"the call ran longer than its time limit{limit}")
    made = CallError(f"the worker could not run the call: {name}: {text}")
    if isinstance(failure, BaseException):
        made.__cause__ = failure
    return made


def quietly(do: Callable[..., Any], *args: Any) -> None:
    """Do what may come too late, when a future is resolved already, or what runs a callback that raises.

    Of callbacks `Future` catches an `Exception` only; the `SystemExit` of one shall end no thread here.
    """
    try:
        do(*args)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        logger.debug("came too late, or a callback raised: %r", error)
