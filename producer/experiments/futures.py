"""The life of futures, as it goes: from `submit` to a result, an exception, a cancellation or a timeout.

For each model three acts, or four:

    life         submit all inputs ─▶ wait(timeout) ─▶ as_completed; one call fails, callbacks tell of all
    cancel       all workers are busy, more calls wait: cancel() is tried on both
    timeout      wait(timeout) and result(timeout) give up on a call: what becomes of it?
    time limit   the broker queue's own limit on the same call (models on a cluster)

Whether a call ran, went on or was stopped is not taken from its future but from the call itself: those of the
last three acts leave signs of life in a file (worker.alive).
"""

from __future__ import annotations

import reprlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Protocol

from producer.experiments.compare import READY
from producer.experiments.job import Job, served
from producer.experiments.place import open_models
from producer.measurement.environment import environment
from producer.measurement.result import Result
from producer.measurement.trace import one_line
from producer.models import MODELS, Model
from worker.alive import alive, alive_async, signs
from worker.call import clock

#: The acts.
LIFE, CANCEL, TIMEOUT, LIMIT = "life", "cancel", "timeout", "time limit"
#: What can happen to a future.
SUBMITTED, RUNS, CALLBACK, COMPLETED = "submit", "runs", "callback", "as_completed"
DONE, NOT_DONE = "wait: done", "wait: not done"
CANCELLED, NOT_CANCELLED = "cancel() is True", "cancel() is False"
GAVE_UP, NO_RESULT, WENT_ON, STOPPED = "wait gives up", "result gives up", "it went on", "it was stopped"

#: What a callback's detail is where it runs in `add_done_callback`, or in `cancel`.
MAIN_THREAD = "on thread MainThread"

#: Seconds of a call that keeps a worker busy while others wait, and of one that waits.
BUSY, SHORT = 1.5, 0.1
#: Seconds that the call takes on which `wait` gives up, when `wait` does so, and then `result`; and the time
#: limit that the broker queue puts on the same call.
LASTS, GIVES_UP, RESULT_GIVES_UP, TIME_LIMIT = 2.5, 0.5, 0.25, 0.5
#: Workers in the last three acts: they are shown as well with a few.
FEW = 2
#: Seconds between two looks at which futures run.
LOOK = 0.01
#: Seconds within which a call on an idle worker has begun, and what is in a pool's pipe has been marked.
_BEGUN, _SETTLED = 5.0, 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a future.

    Attributes:
        model: where.
        act: in which act.
        time: seconds since the model's first act began.
        number: of the future, among those of the model.
        call: what was submitted, as source text.
        event: what happened.
        state: the future's after it: PENDING, RUNNING, FINISHED or CANCELLED.
        detail: a result, an exception, a thread.
    """

    model: str
    act: str
    time: float
    number: int
    call: str
    event: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """What `cancel` did.

    Attributes:
        model: where.
        number: of the future.
        state: the future's before.
        begun: whether the call itself had begun, by its signs of life, or as a worker of a cluster told.
        cancelled: what `cancel` returned.
        ended: whether the call came to its end all the same; None where its signs of life can't be seen.
    """

    model: str
    number: int
    state: str
    begun: bool
    cancelled: bool
    ended: bool | None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What became of a call that somebody did not want to wait for any longer.

    Attributes:
        model: where.
        act: `timeout`, or `time limit`.
        after: seconds after its submission that it was given up.
        state: the future's then.
        before: signs of life until then.
        later: signs of life after that.
        ended: whether it came to its end.
        error: what its future raised in the end; None if it has a result.
    """

    model: str
    act: str
    after: float
    state: str
    before: int
    later: int
    ended: bool
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lives(Result):
    """What `futures` saw.

    Attributes:
        workload: whose calls the first act submits.
        timeout: seconds that `wait` waits in the first act.
        events: all that happened, in order.
        cancels: what `cancel` did.
        given_up: what became of the calls that were given up.
        failed: calls of the workload that raised.
        problems: results that differ from the expected ones.
    """

    experiment: ClassVar[str] = "futures"

    workload: str
    timeout: float
    events: tuple[Event, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    given_up: tuple[GivenUp, ...] = ()
    failed: int = 0
    problems: tuple[str, ...] = ()


class Observer(Protocol):
    """Who wants to see it."""

    def doing(self, what: str) -> None:
        """Something begins that takes time."""

    def begins(self, model: str, number: int, of: int, left: float | None) -> None:
        """A model is next, the so-manieth of so many; `left` is an estimate of the seconds to the end."""

    def act(self, title: str) -> None:
        """An act begins."""

    def happened(self, event: Event) -> None:
        """Something happened, on whichever thread."""


def state_of(future: Future[Any]) -> str:
    """Return the state of a future.

    `running` is asked first: asked last, a future that ends between two questions would seem to be pending.
    """
    if future.running():
        return "RUNNING"
    if not future.done():
        return "PENDING"
    return "CANCELLED" if future.cancelled() else "FINISHED"


def futures(job: Job, models: Sequence[str], workers: int, timeout: float, observer: Observer) -> Lives:
    """Go through the acts on one model after another.

    Ctrl-C ends it early, with what there is so far: the result then is `interrupted`.

    Args:
        job: its calls are submitted in the first act.
        models: names of the models.
        workers: workers of each pool in the first act.
        timeout: seconds that `wait` waits in the first act.
        observer: told of everything as it happens.

    Raises:
        InputError: a cluster is needed and can't be used.
        CannotRunError: a worker can't run the job's function.
    """
    stage = _Stage(observer)
    lives = Lives(
        workload=job.name,
        timeout=timeout,
        models=tuple(models),
        settings={"workers": workers},
        environment=environment(),
        began=clock(),
    )
    unavailable = {
        name: why
        for name in models
        if (why := MODELS[name].unavailable(job.function, job.async_function)) is not None
    }
    available = [name for name in models if name not in unavailable]
    begun = time.perf_counter()
    interrupted = False
    try:
        with served(job) as ready:
            for number, name in enumerate(available):
                spent = time.perf_counter() - begun
                left = spent / number * (len(available) - number) if number else None
                observer.begins(name, number + 1, len(available), left)
                _all_acts(stage, name, ready, workers, timeout)
    except KeyboardInterrupt:
        interrupted = True
    return replace(
        lives,
        events=tuple(stage.events),
        cancels=tuple(stage.cancels),
        given_up=tuple(stage.given_up),
        failed=stage.failed,
        problems=tuple(stage.problems),
        unavailable=unavailable,
        interrupted=interrupted,
    )


@dataclass(frozen=True, eq=False)
class _Followed:
    """A future that is followed from its submission on."""

    number: int
    call: str
    future: Future[Any]
    path: str = ""


class _Stage:
    """Where the acts are played: takes note of all that happens, on whichever thread, and tells of it."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.events: list[Event] = []
        self.cancels: list[Cancel] = []
        self.given_up: list[GivenUp] = []
        self.failed = 0
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._closed = False
        self._over = threading.Event()
        self._pending: list[_Followed] = []  # followed, and not seen to run

    def enter(self, model: str) -> None:
        """Begin with a model."""
        self._model, self._began, self._numbers = model, 0.0, count(1)

    def act(self, act: str, title: str) -> None:
        """Begin an act."""
        self._act = act
        self._began = self._began or time.perf_counter()
        self.observer.act(title)

    def note(self, one: _Followed, event: str, detail: str = "", *, only_if: str | None = None) -> str:
        """Note that something happened to a future, unless it is in another state than `only_if`."""
        with self._lock:
            state = state_of(one.future)
            if self._closed or only_if not in (None, state):
                return state
            now = time.perf_counter() - self._began
            made = Event(self._model, self._act, now, one.number, one.call, event, state, detail)
            self.events.append(made)
            self.observer.happened(made)
            return state

    def submit(self, executor: Executor, call: str, function: Any, *args: Any, **kwargs: Any) -> _Followed:
        """Submit a call, and follow its future."""
        try:
            future = executor.submit(function, *args, **kwargs)
        except (Exception, SystemExit) as error:  # a pool that broke, or a call that `submit` itself runs
            future = Future()
            future.set_exception(error)
        return self._follow(_Followed(next(self._numbers), call, future))

    def submit_watched(self, executor: Executor, model: Model, folder: str, seconds: float) -> _Followed:
        """Submit a call that leaves signs of life."""
        number = next(self._numbers)
        path = str(Path(folder, str(number)))
        future = executor.submit(alive_async if model.asynchronous else alive, path, seconds)
        return self._follow(_Followed(number, f"a call of {seconds:g} s", future, path))

    def _follow(self, one: _Followed) -> _Followed:
        if self.note(one, SUBMITTED) == "PENDING":
            self._pending.append(one)
        one.future.add_done_callback(
            lambda _: self.note(one, CALLBACK, f"on thread {threading.current_thread().name}")
        )
        return one

    @contextmanager
    def opened(self, workers: int, job: Job) -> Iterator[Executor]:
        """Open the model's executor, and note which futures begin to run: nobody is told of it otherwise."""
        with ExitStack() as stack:
            executors, _ = open_models([self._model], workers, job, stack, self.observer.doing)
            thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
            self._over.clear()
            thread.start()
            try:
                yield executors[self._model]
            except BaseException:
                self.close()  # how calls end that are abandoned now is of no interest
                raise
            finally:
                self._over.set()
                thread.join()
                self._pending.clear()

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            for one in tuple(self._pending):
                if one.future.running() or one.future.done():
                    self._pending.remove(one)
                    self.note(one, RUNS, only_if="RUNNING")

    def close(self) -> None:
        """Take no more notes."""
        with self._lock:
            self._closed = True


def _all_acts(stage: _Stage, name: str, job: Job, workers: int, timeout: float) -> None:
    model = MODELS[name]
    stage.enter(name)
    with stage.opened(workers, job) as executor:
        _life(stage, executor, model, job, timeout)
    # An executor of its own: what the user's calls did to the first one is of no concern to the others.
    few = min(workers, FEW)
    with (
        stage.opened(few, job) as executor,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
    ):
        _cancel(stage, executor, model, few, folder)
        _timeout(stage, executor, model, folder)
        if model.on_cluster:
            _time_limit(stage, executor, model, folder)


def _life(stage: _Stage, executor: Executor, model: Model, job: Job, timeout: float) -> None:
    stage.act(LIFE, f"submit: {len(job.arguments)} calls of {job.name}, and one that fails")
    numbered: dict[Future[Any], tuple[int, _Followed]] = {}
    for index, call in enumerate(job.calls(asynchronous=model.asynchronous)):
        function = partial(_not_leaving, call.function) if model.asynchronous else call.function
        one = stage.submit(executor, str(call), function, *call.args, **call.kwargs)
        numbered[one.future] = index, one
    one = stage.submit(executor, "int('seven')", int, "seven")
    numbered[one.future] = -1, one

    stage.act(LIFE, f"wait(futures, timeout={timeout:g}): which are done, and which are not?")
    done, _ = wait(numbered, timeout=timeout)
    for future, (_, one) in numbered.items():
        stage.note(one, DONE if future in done else NOT_DONE)

    stage.act(LIFE, "as_completed(futures): each as it ends, those that have ended first")
    for future in as_completed(numbered):
        index, one = numbered[future]
        stage.note(one, COMPLETED, _ending(future))
        if index >= 0 and (future.cancelled() or future.exception() is not None):
            stage.failed += 1
        elif index >= 0 and job.expected and future.result() != job.expected[index]:
            stage.problems.append(f"{model.name}: {one.call} returned {_short(future.result())}")


async def _not_leaving(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Await a coroutine function's result; its SystemExit shall end this call, and not the whole loop."""
    try:
        return await function(*args, **kwargs)
    except SystemExit as left:
        raise RuntimeError(f"SystemExit: {left.code}") from left


def _ending(future: Future[Any]) -> str:
    """Tell how a future ended that is done."""
    about = f"done() {future.done()}, cancelled() {future.cancelled()}"
    if future.cancelled():
        return f"{about}, result() raises CancelledError"
    error = future.exception()
    if error is not None:
        return f"{about}, exception() {_printable(one_line(error))}"
    return f"{about}, result() {_short(future.result())}"


def _short(value: object) -> str:
    try:
        text = reprlib.repr(value)
    except Exception:  # e.g. an integer with more digits than Python likes to write
        text = f"<{type(value).__qualname__}>"
    return _printable(text)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cancel(stage: _Stage, executor: Executor, model: Model, workers: int, folder: str) -> None:
    if model.on_cluster:
        found = executor.wait_ready(READY)  # type: ignore[attr-defined]
        workers = sum(worker.processes for worker in found) or workers
    # A process pool keeps one call more than it has processes in its pipe: so there are more than that.
    # Where none has to wait, those that come later take as long as the others: they run when they are tried.
    busy, waiting, later = (workers, workers + 3, SHORT) if model.width == "workers" else (1, 1, BUSY)
    stage.act(CANCEL, f"cancel(): {busy} that run, and {waiting} submitted after them")
    followed = [stage.submit_watched(executor, model, folder, BUSY) for _ in range(busy)]
    _until(lambda: all(_begun(one, model) for one in followed), _BEGUN)
    followed += [stage.submit_watched(executor, model, folder, later) for _ in range(waiting)]
    time.sleep(_SETTLED)
    tried = []
    for one in reversed(followed):  # the last first: so none takes the place of another
        state, begun = state_of(one.future), _begun(one, model)
        cancelled = one.future.cancel()
        stage.note(one, CANCELLED if cancelled else NOT_CANCELLED, f"was {state}")
        tried.append((one, state, begun, cancelled))
    by_future = {one.future: one for one in followed}
    for future in as_completed(by_future):
        stage.note(by_future[future], COMPLETED, _ending(future))
    if any(cancelled for *_, cancelled in tried):
        time.sleep(later + SHORT)  # a call that was cancelled and ran all the same would come to its end
    visible = any(signs(one.path)[0] for one in followed)
    for one, state, begun, cancelled in reversed(tried):
        ended = signs(one.path)[1] if visible else None
        stage.cancels.append(Cancel(model.name, one.number, state, begun, cancelled, ended))


def _timeout(stage: _Stage, executor: Executor, model: Model, folder: str) -> None:
    stage.act(TIMEOUT, f"wait(timeout={GIVES_UP:g}) on a call of {LASTS:g} s: does it stop the call?")
    submitted = clock()
    one = stage.submit_watched(executor, model, folder, LASTS)
    _until(lambda: _begun(one, model), _BEGUN)
    done, _ = wait([one.future], timeout=GIVES_UP)
    given_up, state = clock(), state_of(one.future)
    if done:
        stage.note(one, DONE, "submit had run it" if model.width == "one" else "")
    else:
        stage.note(one, GAVE_UP)
        # What the call itself raises is told below, as what became of it.
        with suppress(Exception):
            try:
                one.future.result(timeout=RESULT_GIVES_UP)
            except TimeoutError:
                given_up, state = clock(), state_of(one.future)
                stage.note(one, NO_RESULT, f"result(timeout={RESULT_GIVES_UP:g}) raises TimeoutError")
    wait([one.future])
    _judge(stage, one, model, TIMEOUT, given_up, given_up - submitted, state)


def _time_limit(stage: _Stage, executor: Executor, model: Model, folder: str) -> None:
    stage.act(LIMIT, f"with_options(time_limit={TIME_LIMIT:g}).submit: the same call, with a limit")
    limited = executor.with_options(time_limit=TIME_LIMIT)  # type: ignore[attr-defined]
    submitted = clock()
    one = stage.submit_watched(limited, model, folder, LASTS)
    wait([one.future])
    given_up = clock()
    time.sleep(max(0.0, submitted + LASTS + 2 * SHORT - given_up))  # it would have come to its end by then
    _judge(stage, one, model, LIMIT, given_up, given_up - submitted, state_of(one.future))


def _judge(
    stage: _Stage, one: _Followed, model: Model, act: str, at: float, after: float, state: str
) -> None:
    """Look at a call's signs of life before and after it was given up."""
    times, ended = signs(one.path)
    later = sum(moment > at for moment in times)
    error = one.future.exception()
    ended = ended or error is None  # it returns at its end: a result says as much as the last sign
    made = GivenUp(
        model.name,
        act,
        after,
        state,
        len(times) - later,
        later,
        ended,
        None if error is None else one_line(error),
    )
    stage.given_up.append(made)
    if later:
        stage.note(
            one, WENT_ON, f"{later} signs of life after that; " + ("to its end" if ended else "no end")
        )
    elif times and not ended:
        stage.note(one, STOPPED, f"{len(times)} signs of life, none after that, no end; {made.error}")


def _begun(one: _Followed, model: Model) -> bool:
    """Tell whether a call has begun. A pool's RUNNING says nothing of that; on a cluster a worker says it."""
    return bool(signs(one.path)[0]) or (model.on_cluster and state_of(one.future) == "RUNNING")


def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, for so many seconds at most."""
    end = time.perf_counter() + seconds
    while not condition() and time.perf_counter() < end:
        time.sleep(LOOK)
