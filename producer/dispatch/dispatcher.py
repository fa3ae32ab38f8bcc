"""The dispatcher: takes calls from an executor to the cluster, and their outcomes back to the futures.

    caller's threads     sender                     broker            worker
    ----------------     ------                     ------            ------
    submit ─▶ queue ───▶ packs a batch, signs ────▶ list ───────────▶ runs it
       ▲                 (a call alone, or those      │                 │
       │ room            that queued up meanwhile)    │                 │
       │                                              │                 │
    future ◀─ resolves ◀─ receiver ◀── subscription ◀─┴── reply, news ◀─┘
       ▲                                              │
       └─ fails ◀──────── watch ◀── who is there? ◀───┘

Three threads, all daemons, none of which holds on to the executor:

- The sender sleeps until a call waits and a message may be sent. A lone call goes at once; at most
  about two messages for each process of the cluster are under way, and what queues up behind them travels
  together.
- The receiver sleeps on one subscription, to the replies of all batches and to the news of which were begun.
  Where a batch takes too long, a reply comes early, with the outcomes that are there, and the calls that were
  not begun go back to the queue. A batch counts once: the first last reply wins, later ones are counted and
  dropped.
- The watch is awake while calls are outstanding, once a second. It keeps the key alive by which workers know
  that somebody waits; fetches replies that the subscription missed; sends again what the broker lost; and
  where there is no worker, no broker, or another key, it fails all calls within `patience` seconds.

Lock order: only `_lock`, and it is never held while a future is resolved (callbacks are the user's code) or
while the broker is asked.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any, Literal

import redis

from producer import broker
from producer.broker import BrokerUnavailableError, Worker
from producer.dispatch.batch import Batch, Cargo
from producer.dispatch.errors import (
    KeyMismatchError,
    NoWorkersError,
    ShutDownError,
    VersionMismatchError,
)
from producer.dispatch.future import CallFuture, quietly, resolve
from producer.dispatch.pace import MOST_BYTES, MOST_CALLS, Pace, slice_of
from worker import keys, wire
from worker.ledger import Ledger
from worker.signing import Key, SignatureError

logger = logging.getLogger(__name__)

#: Seconds for which workers take the producer for alive after its last sign of life.
ALIVE = 15
#: Seconds between two such signs, between two looks at who is there, and between two looks for replies that
#: the subscription may have missed.
RENEW, LOOK, FETCH = 4.0, 2.0, 5.0
#: Seconds between two lines in the log about replies that were dropped, however many there are.
QUIET = 10.0
#: Seconds between two rounds of the watch.
ROUND = 1.0
#: Calls that the sender takes from the queue at once.
TAKE = 64
#: Replies that are deleted from the broker together.
CLOSE_TOGETHER = 32
#: Messages that are looked through for those that came back to the queue from workers that died.
MOST_BACK = 256
#: What ends all calls at once.
BROKEN = (KeyMismatchError, VersionMismatchError, NoWorkersError, BrokerUnavailableError)
#: What a caller's thread meets where the broker is away, or where the executor has ended meanwhile and closed
#: the connection under it: then redis-py lets out a ValueError of the socket's file.
CLOSED = (redis.RedisError, OSError, ValueError)
#: A hard time limit strikes this many seconds after the soft one: time for `finally` blocks.
GRACE = 1.0


#: What the ids of all messages begin with that come from this process: by it Flower finds them.
TAG = secrets.token_hex(5)
_numbers = itertools.count()


class Dispatcher:
    """See the module's drawing.

    Args:
        url: the broker.
        key: the cluster's.
        queue: the queue's name.
        batch: calls that may travel together: a number, or "auto".
        max_workers: messages that may be under way at a time; None: what the cluster can run.
        max_pending: calls that may be outstanding; above that `submit` waits.
        patience: seconds without a worker, or without the broker, after which all calls fail.
        on_end: called when everything is over.
    """

    def __init__(
        self,
        *,
        url: str,
        key: Key,
        queue: str,
        batch: int | Literal["auto"],
        max_workers: int | None,
        max_pending: int,
        patience: float,
        on_end: Callable[[], None],
    ) -> None:
        self.id = f"{TAG}{os.getpid():x}-{next(_numbers)}"
        self.url, self.queue, self.patience = url, queue, patience
        self.max_pending = max_pending
        self.duplicates = 0
        self.resent = 0
        self.dropped = 0
        self._told_dropped = -QUIET
        self.workers: list[Worker] = []
        self._key = key
        self._batch_size, self._max_workers = batch, max_workers
        self._on_end = on_end
        self._origin = f"{os.getpid()}@{socket.gethostname()}"
        self._pace = Pace()
        self._redis = broker.connect(url)
        self._ledger = Ledger(self._redis)
        self._numbers = itertools.count()

        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # the sender waits for it
        self._room = threading.Condition(self._lock)  # submit waits for it
        self._watched = threading.Condition(self._lock)  # the watch waits for it
        self._queue: deque[CallFuture] = deque()
        self._hand: list[CallFuture] = []  # what the sender has taken from the queue, and not sent yet
        self._flying: dict[str, Batch] = {}
        self._read: list[str] = []  # ids of batches whose replies can be deleted
        self._pending = 0
        self._processes = 0
        self._closed = False
        self._broken: BaseException | None = None
        self._over = threading.Event()
        self._subscribed = threading.Event()
        self._renewed = -RENEW  # when the executor's key was last set
        self._forgotten = 0.0  # when the broker was found to have forgotten it; 0 if not
        self._fetched: set[str] = set()  # batches whose reply came by _fetch, before it was heard
        self._watch_sleeps = False
        self._wants_work = False  # the sender sleeps for want of calls
        self._failing_since: float | None = None  # since when no message could be sent
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._safely, args=(target,), name=f"celery-executor-{name}", daemon=True)
            for name, target in (("sender", self._send), ("receiver", self._receive), ("watch", self._watch))
        ]
        for thread in self._threads:
            thread.start()

    # --- for the executor ---------------------------------------------------------------------------

    def submit(
        self,
        function: Callable[..., Any],
        args: Any,
        kwargs: Any,
        limit: float | None = None,
        end: float | None = None,
    ) -> CallFuture:
        """Queue a call; wait for room first, if there is none.

        Args:
            function: what to call.
            args: its positional arguments.
            kwargs: its keyword arguments.
            limit: seconds that it may run; None for no limit.
            end: until when to wait for room, on the monotonic clock; None: for as long as it takes.

        Raises:
            BrokenExecutor: the cluster was given up.
            RuntimeError: the executor was shut down.
            TimeoutError: there was no room in time.
        """
        future = CallFuture(self, function, (args, kwargs), limit)
        with self._lock:
            # A callback that submits runs on a thread that makes room: it must not wait for itself.
            while (
                self._pending >= self.max_pending
                and self._broken is None
                and not self._closed
                and threading.current_thread() not in self._threads
            ):
                if not self._room.wait(None if end is None else end - time.monotonic()):
                    raise TimeoutError
            if self._broken is not None:
                raise self._broken
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._pending += 1
            self._queue.append(future)
            if self._wants_work:
                self._wants_work = False
                self._work.notify()
            if self._watch_sleeps:
                self._watched.notify()
        return future

    def cancel(self, futures: Iterable[CallFuture]) -> list[bool]:
        """Cancel those of `futures` that have not started; tell for each whether it is cancelled."""
        futures = list(futures)
        done = [future.cancelled() for future in futures]
        flying: dict[Batch, list[int]] = {}
        dropped = []
        with self._lock:
            for place, future in enumerate(futures):
                batch = future.batch  # read first: a call is over before it is out of its batch
                if future.done() or future.running():
                    continue
                if batch is not None:
                    flying.setdefault(batch, []).append(place)
                    continue
                done[place] = True
                if not future.withdrawn:
                    future.withdrawn = True
                    dropped.append(future)
        again = []
        for batch, places in flying.items():
            try:
                in_time = self._ledger.cancel(batch.id, [futures[place].index for place in places])
            except CLOSED as error:
                logger.warning("can't cancel calls: %s", error)
                continue
            with self._lock:
                for place in places:
                    future = futures[place]
                    if future.batch is not batch:  # handed back, or resolved, in between
                        again.append(place)
                    elif in_time:
                        done[place] = True
                        if not future.withdrawn:
                            future.withdrawn = True
                            dropped.append(future)
            if not in_time:
                for place in places:
                    if futures[place].batch is batch:
                        futures[place].mark_running()
        for future in dropped:
            future.drop()
        self._ended(len(dropped))
        if again:
            for place, result in zip(again, self.cancel([futures[place] for place in again]), strict=True):
                done[place] = result
        return done

    def close(self, *, cancel_futures: bool) -> None:
        """Take no further calls; end when those that were taken have ended."""
        with self._lock:
            self._closed = True
            outstanding = [
                *self._hand,
                *self._queue,
                *(f for batch in self._flying.values() for f in batch.futures),
            ]
            self._room.notify_all()
            self._work.notify_all()
            self._watched.notify_all()
        if cancel_futures:
            self.cancel(outstanding)

    def kill(self) -> None:
        """End now: calls that have not started are cancelled, the others fail, and so do later ones."""
        with self._lock:
            self._closed = True
            waiting = [future for future in (*self._hand, *self._queue) if not future.withdrawn]
            self._queue.clear()
            for future in waiting:
                future.withdrawn = True
        for future in waiting:
            future.drop()
        self._ended(len(waiting))
        self._break(ShutDownError("the executor was shut down while the call was running"))

    def join(self, timeout: float | None = None) -> None:
        """Wait until everything is over."""
        if threading.current_thread() not in self._threads:
            self._threads[-1].join(timeout)

    def disown(self) -> None:
        """Become useless in a forked process, where no thread runs, and anybody may have the lock."""
        self._lock = threading.Lock()
        self._work, self._room, self._watched = (threading.Condition(self._lock) for _ in range(3))
        self._broken = BrokenExecutor("this executor is of the process that forked this one: make one here")

    def wait_for_workers(self, timeout: float) -> list[Worker]:
        """Return the workers as soon as there are any.

        Raises:
            BrokenExecutor: the broker can't be used, or the workers can't, or there are none in time.
        """
        end = time.monotonic() + timeout
        while True:
            if self._broken is not None:
                raise self._broken
            try:
                found = broker.present(self._redis, self.queue)
            except CLOSED as error:
                if self._broken is not None:
                    continue
                if time.monotonic() > end or isinstance(error, redis.ResponseError):
                    raise broker.unavailable(self.url, error) from error
                found = []
            self._judge(found)
            if found:
                self._note_workers(found)
                return found
            if time.monotonic() > end:
                raise self._no_workers(timeout)
            time.sleep(0.02)

    def _safely(self, run: Callable[[], None]) -> None:
        """Run a thread; what must not happen there ends all calls, and not one thread in silence."""
        try:
            run()
        except BaseException as error:
            logger.exception("the executor failed")
            self._break(BrokenExecutor(f"the executor failed: {type(error).__name__}: {error}"))

    # --- sender -------------------------------------------------------------------------------------

    def _send(self) -> None:
        while True:
            with self._lock:
                while not ((room := len(self._flying) < self._window()) and self._queue):
                    if self._finished():
                        return
                    # Without room for a message it is a reply that has to wake this thread, and no call.
                    self._wants_work = room
                    self._work.wait()
                    self._wants_work = False
                waiting = len(self._queue)
            batch = self._assemble(waiting)
            if batch is not None:
                self._publish(batch)
            del batch  # what it holds is the caller's, and not to be kept while this thread sleeps

    def _window(self) -> int:
        """Return how many messages may be under way: about two for each process, so that none idles.

        One less, so that another producer's message is next when the first batch that runs now has ended.
        """
        if self._batch_size == 1:
            return self._max_workers or self.max_pending
        window = max(2, 2 * self._processes - 1)
        return window if self._max_workers is None else min(window, self._max_workers)

    def _assemble(self, waiting: int) -> Batch | None:
        """Take calls from the queue that travel together; None if there were only cancelled ones.

        Packing runs the user's code, for as long as that takes, and without the lock. So calls are taken into
        `_hand` first, where whoever cancels or ends everything finds them.
        """
        cargo = Cargo()
        room = 0.0
        most = MOST_CALLS if self._batch_size == "auto" else self._batch_size
        taken: deque[CallFuture] = deque()
        while len(cargo.futures) < most and cargo.size < MOST_BYTES:
            if not taken:
                taken = self._take_in_hand(most - len(cargo.futures))
            if not taken:
                break
            future = taken[0]
            if cargo.futures and (future.alone or cargo.futures[0].alone):
                break
            if future.withdrawn:
                taken.popleft()
                continue
            try:
                name = cargo.pack(future)
            except BaseException as error:  # whatever it is, it ends this call and not the thread
                taken.popleft()
                self._refuse(future, error)
                continue
            expected = self._pace.expect(name)
            if not cargo.futures:
                room = self._pace.room(name, waiting, max(1, self._processes))
            elif self._batch_size == "auto" and cargo.seconds + expected / 2 > room:
                break
            cargo.load(taken.popleft(), expected)
        return self._register(cargo, taken)

    def _take_in_hand(self, most: int) -> deque[CallFuture]:
        """Take some calls from the queue, but no more than so many."""
        with self._lock:
            taken = deque(self._queue.popleft() for _ in range(min(most, TAKE, len(self._queue))))
            self._hand += taken
        return taken

    def _refuse(self, future: CallFuture, error: BaseException) -> None:
        """Fail a call that can't be sent."""
        with self._lock:
            if future.withdrawn or self._broken is not None:
                return
            future.withdrawn = True  # whoever cancels it now is too late
        with contextlib.suppress(Exception):  # an exception's class may forbid it
            error.add_note(
                "The call was not sent: its function or one of its arguments can't be pickled. Pass plain "
                "data and open what can't be pickled (locks, files, connections) in the function itself."
            )
        quietly(future.set_exception, error)
        future.forget()
        self._ended(1)

    def _register(self, cargo: Cargo, left: deque[CallFuture]) -> Batch | None:
        """Make a batch of what was not cancelled meanwhile, and let the receiver know of it.

        Args:
            cargo: what is to be sent.
            left: calls that go back to the queue.
        """
        with self._lock:
            self._hand = []
            if self._broken is None:
                self._queue.extendleft(reversed(left))
            cargo.unload_withdrawn()
            if not cargo.futures or self._broken is not None:
                return None
            batch = Batch(f"{self.id}-{next(self._numbers)}", cargo.futures, [f[0] for f in cargo.functions])
            for index, future in enumerate(cargo.futures):
                future.batch, future.index = batch, index
            self._flying[batch.id] = batch
        batch.slice = slice_of(cargo.seconds) if self._batch_size == "auto" else keys.EXPIRES
        batch.body = self._key.dumps(((batch.id, cargo.functions, cargo.calls, batch.slice), {}, {}))
        batch.description = cargo.description()
        return batch

    def _message(self, batch: Batch) -> bytes:
        """Return a copy of a batch's message, with a delivery tag of its own."""
        limit = batch.futures[0].limit
        return wire.envelope(
            batch.id,
            batch.body,
            tag=f"{batch.id}.{batch.copy}",
            queue=self.queue,
            description=batch.description,
            limits=(None, None) if limit is None else (limit + GRACE, limit),
            origin=self._origin,
        )

    def _publish(self, batch: Batch) -> None:
        """Push a batch's message; try again for as long as the watch has patience."""
        message = self._message(batch)
        pause = 0.05
        self._subscribed.wait(self.patience)
        while self._broken is None:
            try:
                if batch.futures[0].suspected:  # the death in company counts
                    self._ledger.suspect(batch.id)
                if time.monotonic() - self._renewed > RENEW:
                    self._renew(message)
                else:
                    self._redis.lpush(self.queue, message)
            except (redis.RedisError, OSError) as error:
                self._failed(error)
                time.sleep(pause)
                pause = min(1.0, 2 * pause)
            else:
                self._failing_since = None
                batch.sent = time.monotonic()
                return

    def _failed(self, error: BaseException) -> None:
        """Note that the broker could not be used, and since when."""
        self._failure = error
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            logger.warning("%s; trying again for %g s", broker.unavailable(self.url, error), self.patience)

    # --- receiver -----------------------------------------------------------------------------------

    def _receive(self) -> None:
        pause = 0.05
        while not self._over.is_set():
            subscription = broker.connect(
                self.url, socket_timeout=ROUND, health_check_interval=int(FETCH)
            ).pubsub()  # type: ignore[no-untyped-call]
            try:
                subscription.psubscribe(keys.result(f"{self.id}-*"))
                subscription.subscribe(keys.news(self.id))
                for _ in range(2):
                    if subscription.get_message(timeout=broker.TIMEOUT) is None:
                        raise redis.TimeoutError("no answer to SUBSCRIBE")
                if self._subscribed.is_set():
                    self._fetched.clear()  # they will not be heard any more
                    self._fetch()  # what was published while nobody listened
                self._subscribed.set()
                pause = 0.05
                while not self._over.is_set():
                    message = subscription.get_message(timeout=FETCH)
                    if message is not None:
                        self._hear(message)
                    elif subscription.health_check_response_counter > 1:
                        # redis-py asks, and takes no note of who does not answer.
                        raise redis.TimeoutError("the subscription went dead without a word")
            except (redis.RedisError, OSError) as error:
                logger.debug("subscription lost: %s", error)
                self._over.wait(pause)
                pause = min(1.0, 2 * pause)
            finally:
                quietly(subscription.close)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "pmessage":
            batch_id = message["channel"].decode(errors="replace").removeprefix(keys.RESULT_PREFIX)
            self._take(batch_id, message["data"])
        elif message["type"] == "message":
            # News are not signed: the worst that a forged one does is to show a call as running that is not.
            word, _, batch_id = message["data"].decode(errors="replace").partition(" ")
            if word == "started":
                self._note_started(batch_id)

    def _note_started(self, batch_id: str) -> None:
        batch = self._flying.get(batch_id)
        if batch is not None and batch.started is None:
            batch.started = time.monotonic()
            for future in batch.futures:
                if not future.withdrawn:
                    future.mark_running()
                    break

    def _requeue(self, batch: Batch, index: int) -> None:
        """Put a batch's calls from `index` on back to where they came from. Under the lock."""
        back = [f for f in batch.futures[index : batch.kept] if not f.withdrawn]
        batch.kept = index
        for future in back:
            future.batch = None
        self._queue.extendleft(reversed(back))
        self._work.notify()

    def _take(self, batch_id: str, payload: bytes | str) -> None:
        """Resolve the futures of a batch from its reply, if it is the first."""
        try:
            meta = self._key.loads(payload)
        except SignatureError as error:
            self._drop(str(error))
            return
        except Exception as error:
            # Ours, but it can't be read: the workers run other code than we do.
            meta = {"status": "FAILURE", "result": error, "task_id": batch_id}
        # Signed, but perhaps for another purpose, or for another batch.
        if not isinstance(meta, dict) or meta.get("task_id") != batch_id:
            self._drop("under another name than its own")
            return
        reply = meta["result"]
        with self._lock:
            batch = self._flying.get(batch_id)
            if batch is None:
                if batch_id in self._fetched:
                    self._fetched.discard(batch_id)
                elif not isinstance(reply, wire.Reply) or reply.running is None:
                    self.duplicates += 1
                return
            if isinstance(reply, wire.Reply):
                outcomes: list[wire.PackedOutcome] = reply.outcomes
                self._learn(batch, reply)
            else:
                outcomes = [(None, reply)] * batch.kept
                del self._flying[batch_id]
            if batch_id not in self._flying:
                self._read.append(batch_id)
            self._work.notify()
            first, batch.resolved = batch.resolved, max(batch.resolved, len(outcomes))
            arrived = list(zip(batch.futures[first : batch.resolved], outcomes[first:], strict=False))
            resolved = [(future, outcome) for future, outcome in arrived if not future.withdrawn]
            for future, _ in resolved:
                future.withdrawn = True  # whoever cancels it now is too late
        for future, outcome in resolved:
            resolve(future, outcome)
        for future, _ in arrived:
            future.forget()
        self._ended(len(resolved))
        if len(self._read) >= CLOSE_TOGETHER:
            self._close_read()

    def _learn(self, batch: Batch, reply: wire.Reply) -> None:
        """Draw the conclusions of a reply, but for the outcomes. Under the lock."""
        for name, (calls, seconds) in zip(batch.names, reply.busy, strict=True):
            self._pace.learn(name, calls, seconds)
        if reply.suspect:
            for future in batch.futures:
                future.alone = future.suspected = True
        kept = len(reply.outcomes) if reply.running is None else reply.running + 1
        if kept < batch.kept:
            self._requeue(batch, kept)
        if reply.running is None:
            del self._flying[batch.id]
        elif reply.running < len(batch.futures):
            late = batch.futures[reply.running]
            if late.packed is not None:
                self._pace.learn(late.packed[0][0], 1, batch.slice)
            late.mark_running()

    def _drop(self, why: str) -> None:
        """Count a reply that is none of ours, and tell so now and then."""
        self.dropped += 1
        now = time.monotonic()
        if now - self._told_dropped >= QUIET:
            self._told_dropped = now
            logger.warning("dropped a reply: %s (%d dropped since the start)", why, self.dropped)

    def _fetch(self) -> None:
        """Take the replies that are there and were not heard of.

        Raises:
            redis.RedisError: the broker does not answer.
        """
        ids = list(self._flying)
        for start in range(0, len(ids), 64):
            some = ids[start : start + 64]
            for batch_id, payload in zip(
                some, self._redis.mget([keys.result(one) for one in some]), strict=True
            ):
                if payload is not None:
                    self._fetched.add(batch_id)
                    self._take(batch_id, payload)

    def _close_read(self) -> None:
        with self._lock:
            read, self._read = self._read, []
        if read:
            try:
                self._ledger.close(read)
            except (redis.RedisError, OSError) as error:
                logger.debug("replies are left to expire: %s", error)

    # --- watch --------------------------------------------------------------------------------------

    def _watch(self) -> None:
        looked = fetched = busy = -FETCH
        last_seen = time.monotonic()
        while True:
            with self._lock:
                if not self._finished():
                    # It stays awake for a round after the last call: calls that come one at a time, each
                    # after the other's end, shall not have to wake it.
                    idle = not self._pending and time.monotonic() - busy > ROUND
                    self._watch_sleeps = idle
                    self._watched.wait(None if idle else ROUND if busy > 0 else 0)
                    self._watch_sleeps = False
                    if idle:
                        last_seen = busy = time.monotonic()
                if self._finished():
                    break
                if not self._pending or (idle and self.workers):
                    continue  # where it has seen workers before, it first leaves the GIL to what sends
            now = busy = time.monotonic()
            try:
                if now - self._renewed > RENEW:
                    self._renew()
                if self._forgotten:
                    self._send_forgotten()
                if now - looked > LOOK:
                    looked = now
                    found = broker.present(self._redis, self.queue)
                    self._judge(found)
                    self._note_workers(found)
                    if found:
                        last_seen = now
                    self._find_lost(now)
                if now - fetched > FETCH:
                    fetched = now
                    self._fetch()
                self._close_read()
            except BROKEN as error:
                self._break(error)
            except (redis.RedisError, OSError) as error:
                self._failed(error)
                last_seen = now  # one trouble at a time
            if self._failing_since is not None and now - self._failing_since > self.patience:
                assert self._failure is not None  # noqa: S101 - noted with the time
                self._break(broker.unavailable(self.url, self._failure))
            elif now - last_seen > self.patience:
                self._break(self._no_workers(self.patience))
        self._end()

    def _renew(self, message: bytes | None = None) -> None:
        """Set the key by which workers know that somebody waits; note if the broker had forgotten it.

        It is gone where nothing was outstanding for a while, and then nothing is lost. Otherwise the broker
        has lost its data, or dropped our messages because we were silent for too long.

        Args:
            message: to push with it. Each round trip is a wait for the GIL as well, which a caller that
                submits call after call gives up every 5 ms only.
        """
        now = time.monotonic()
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(keys.executor(self.id), 1, ex=ALIVE, get=True)
            if message is not None:
                pipe.lpush(self.queue, message)
            if pipe.execute()[0] is None:
                self._forgotten = now
        self._renewed = now

    def _send_forgotten(self) -> None:
        """Send again what was sent before the broker forgot it."""
        with self._lock:
            flying = [batch for batch in self._flying.values() if batch.sent < self._forgotten]
        self._forgotten = 0.0
        if flying:
            logger.warning("the broker has lost its data; sending %d message(s) again", len(flying))
        for batch in flying:
            self._resend(batch)

    def _find_lost(self, now: float) -> None:
        """Send again what is nowhere: its worker died with it between the queue and its hands.

        A worker takes a message from the queue with one command and claims it with another. Between the two
        it can die. A message that is claimed comes back after one lease, and then the same can happen to it
        again. So one that for a lease and a half neither waits nor is in a worker's hands is lost.
        """
        with self._lock:
            old = sorted(
                (b for b in self._flying.values() if now - b.sent > FETCH), key=lambda batch: batch.sent
            )
        lease = max((worker.lease for worker in self.workers), default=15.0)
        for batch in self._nowhere(old):
            if batch.missed is None:
                batch.missed = now
            elif now - batch.missed > 1.5 * lease:
                self._resend(batch)

    def _nowhere(self, old: list[Batch]) -> Iterator[Batch]:
        """Yield those of some batches, in the order in which they were sent, that are not seen anywhere."""
        for batch in (batch for batch in old if batch.started is None):
            if self._redis.lpos(self.queue, self._message(batch).decode()) is not None:
                break  # and those that were sent later wait behind it
            yield batch
        begun = [batch for batch in old if batch.started is not None]
        if not begun:
            return
        with self._redis.pipeline(transaction=False) as pipe:
            for batch in begun:
                pipe.hexists(keys.UNACKED, f"{batch.id}.0")
                pipe.hexists(keys.UNACKED, f"{batch.id}.{batch.copy}")
            # What comes back to the queue is changed, and next to be taken.
            pipe.lrange(self.queue, -MOST_BACK, -1)
            *held, back = pipe.execute()
        for batch, first, last in zip(begun, held[::2], held[1::2], strict=True):
            identity = f'"{batch.id}"'.encode()
            if first or last or any(identity in message for message in back):
                batch.missed = None
            else:
                yield batch

    def _resend(self, batch: Batch) -> None:
        batch.copy += 1
        batch.missed = None
        batch.sent = time.monotonic()
        self.resent += 1
        self._redis.lpush(self.queue, self._message(batch))

    def _judge(self, found: list[Worker]) -> None:
        """See whether the workers are of our kind.

        Raises:
            BrokenExecutor: one of them has another key or another version: it would refuse our calls.
        """
        for worker in found:
            if worker.protocol != keys.PROTOCOL:
                raise VersionMismatchError(
                    f"worker {worker.name} speaks version {worker.protocol} of the wire format, and this "
                    f"producer version {keys.PROTOCOL}: install the same version of breakeven on both"
                )
            if worker.key != self._key.fingerprint():
                raise KeyMismatchError(
                    f"worker {worker.name} has another signing key than this producer: give both the same "
                    "file, named by BREAKEVEN_KEY_FILE"
                )

    def _note_workers(self, found: list[Worker]) -> None:
        with self._lock:
            self.workers = found
            processes = sum(worker.processes for worker in found)
            if processes != self._processes:
                self._processes = processes
                self._work.notify()

    def _no_workers(self, seconds: float) -> NoWorkersError:
        return NoWorkersError(
            f"no worker has served the queue {self.queue!r} of {broker.shown(self.url)} for {seconds:g} s: "
            "start one with `celery -A worker worker`"
        )

    # --- the end ------------------------------------------------------------------------------------

    def _ended(self, calls: int) -> None:
        """Note that so many calls are over."""
        if not calls:
            return
        with self._lock:
            self._pending -= calls
            self._room.notify(calls)
            if self._finished():
                self._work.notify_all()
                self._watched.notify_all()

    def _finished(self) -> bool:
        return self._broken is not None or (self._closed and not self._pending)

    def _break(self, error: BaseException) -> None:
        """Fail every call that is outstanding, and every later one."""
        with self._lock:
            if self._broken is not None:
                return
            self._broken = error
            failed = [
                *self._hand,
                *self._queue,
                *(f for batch in self._flying.values() for f in batch.futures),
            ]
            failed = [future for future in failed if not future.withdrawn]
            self._queue.clear()
            self._flying.clear()
            self._room.notify_all()
            self._work.notify_all()
            self._watched.notify_all()
        for future in failed:
            quietly(future.set_exception, error)
            future.forget()
        with self._lock:
            self._pending = 0

    def _end(self) -> None:
        """Take leave of the broker, and of the threads. Runs as the last of them."""
        self._over.set()
        self._close_read()
        with self._lock:
            left = list(self._flying)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.delete(keys.executor(self.id))  # what still waits there is for nobody
                pipe.publish(keys.news(self.id), "over")  # wakes the receiver
                pipe.execute()
            self._ledger.close(left)
        except (redis.RedisError, OSError):
            pass  # all of it expires
        self._threads[0].join(broker.TIMEOUT)
        self._threads[1].join(broker.TIMEOUT)
        quietly(self._redis.close)
        self._on_end()
