"""The Celery app: every setting of the cluster in one place, each with its reason.

`celery -A worker worker` and `celery -A worker flower` read it. What differs between clusters comes
from the environment:

    CELERY_BROKER_URL           the broker                            redis://127.0.0.1:6379/0
    BREAKEVEN_QUEUE             the queue's name                      breakeven
    BREAKEVEN_KEY_FILE          the signing key's file                in the user's configuration
    BREAKEVEN_LEASE             seconds until a silent worker's       15
                                messages go to another
    BREAKEVEN_HEARTBEAT_FILE    a file to touch while healthy         none
    BREAKEVEN_SCRATCH           a directory for what the pool keeps   in the system's
                                in files, for workers that may be
                                killed: they leave it behind
"""

from __future__ import annotations

import math
import multiprocessing
import os

from celery import Celery
from kombu import Queue
from kombu.transport import TRANSPORT_ALIASES

from worker import deaths, lease, presence, signing, stop

#: Where the broker is looked for when nothing names one.
DEFAULT_BROKER_URL = "redis://127.0.0.1:6379/0"


def _lease_seconds() -> float:
    text = os.environ.get("BREAKEVEN_LEASE", "15")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds < math.inf:
        raise SystemExit(f"BREAKEVEN_LEASE is {text!r}: give a number of seconds of 1 or more")
    return seconds


BROKER_URL = os.environ.get("CELERY_BROKER_URL") or DEFAULT_BROKER_URL
RESULT_URL = f"worker.results:Backend+{BROKER_URL}"
QUEUE = os.environ.get("BREAKEVEN_QUEUE") or "breakeven"
LEASE = _lease_seconds()

try:
    KEY = signing.load_key()
except signing.KeyFileError as error:
    raise SystemExit(str(error)) from None
signing.register(KEY)

if scratch := os.environ.get("BREAKEVEN_SCRATCH"):
    # Not TMPDIR, which would be the user's functions' too: what they put there has to outlive the cluster.
    multiprocessing.current_process()._config["tempdir"] = scratch  # type: ignore[attr-defined]  # noqa: SLF001

# Both directions of every connection: a peer that vanished without a word (a pulled cable, a paused
# host) is noticed within these bounds instead of never.
_CONNECTION = {
    "socket_connect_timeout": 5,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": True,
}

# Redis URLs lead to the transport that refuses what is no message of ours.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "worker.guard:Transport"))

app = Celery("breakeven", broker=BROKER_URL, include=["worker.tasks"])
# Not the setting: CELERY_RESULT_BACKEND in the environment has precedence over that, and only this backend
# stores replies as their executor needs them.
app.backend_cls = RESULT_URL
app.conf.update(
    # --- what is accepted -----------------------------------------------------------------------
    # Signed messages and nothing else: tasks, results and remote control alike. JSON is not a gap:
    # a JSON message would only have to be well-formed, not ours.
    accept_content=[signing.SERIALIZER],
    result_accept_content=[signing.SERIALIZER],
    task_serializer=signing.SERIALIZER,
    result_serializer=signing.SERIALIZER,
    # What is not signed is refused before anything is made of it (worker/guard.py).
    worker_consumer="worker.guard:Consumer",
    # --- nothing lost ---------------------------------------------------------------------------
    # A message is acknowledged when its outcomes are stored, so that work survives its worker...
    task_acks_late=True,
    # ...also when only the pool's child died. run_calls counts deliveries and ends a loop.
    task_reject_on_worker_lost=True,
    # A failure or a time limit is an outcome like another, and not a reason to run again.
    task_acks_on_failure_or_timeout=True,
    # --- where it waits -------------------------------------------------------------------------
    # One queue, one list in Redis. The anonymous exchange needs no look-up of bindings per message.
    task_default_queue=QUEUE,
    task_queues=[Queue(QUEUE)],
    # A worker takes what its processes can start now: what waits, waits in the broker, where any
    # worker can take it. Batches make up for the round trip.
    worker_prefetch_multiplier=1,
    broker_transport_options={
        **_CONNECTION,
        # Kept alive by worker.lease while the worker lives, so it can be short.
        "visibility_timeout": LEASE,
        # Look for expired leases often enough for a short one: Kombu's default is every 10 s.
        "unacked_restore_interval": max(1.0, LEASE / 5),
    },
    # --- results --------------------------------------------------------------------------------
    # The producer deletes what it has read. This is for results whose producer is gone.
    result_expires=3600,
    # A Redis that is back within this bound loses no result.
    result_backend_transport_options={"retry_policy": {"max_retries": 60, "interval_max": 1.0}},
    redis_socket_connect_timeout=_CONNECTION["socket_connect_timeout"],
    redis_socket_timeout=_CONNECTION["socket_timeout"],
    redis_socket_keepalive=True,
    redis_backend_health_check_interval=_CONNECTION["health_check_interval"],
    redis_retry_on_timeout=True,
    # --- connection -----------------------------------------------------------------------------
    # Workers may be up before their broker, and outlive its restart.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # A call that runs goes on when the connection is lost; the lease and the first outcome settle
    # who counts if another worker took it meanwhile.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # --- seen in Flower -------------------------------------------------------------------------
    worker_send_task_events=True,
    task_track_started=False,  # the start is told by an event; storing it costs a write per message
    # --- time limits ----------------------------------------------------------------------------
    # None for all: how long a call may take is its sender's to say (with_options(time_limit=...)).
    task_time_limit=None,
    task_soft_time_limit=None,
    # Stopped while busy (SIGTERM): running calls have this long to end; then they go back to the
    # queue at once, as what waits has done before (worker/stop.py).
    worker_soft_shutdown_timeout=10.0,
    # --- housekeeping ---------------------------------------------------------------------------
    enable_utc=True,
    worker_hijack_root_logger=True,
    # What a call prints belongs to the worker's output as it is, not into log lines.
    worker_redirect_stdouts=False,
)
app.steps["consumer"].add(lease.Lease)
app.steps["consumer"].add(presence.Presence)
app.steps["consumer"].add(stop.Stop)
app.steps["consumer"].add(deaths.Deaths)
