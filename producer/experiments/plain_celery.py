"""A Celery app as tutorials have it: Celery's own defaults, to compare the cluster of this project with.

`celery -A producer.experiments.plain_celery worker` serves it. The environment names its broker, and
PLAIN_ACKS_LATE, if it is set, changes the one setting that guides recommend where no task may be lost.
"""

from __future__ import annotations

import os
import time

from celery import Celery

URL = os.environ.get("CELERY_BROKER_URL") or "redis://127.0.0.1:6379/0"

celery = Celery("plain", broker=URL, backend=URL)
celery.conf.task_acks_late = bool(os.environ.get("PLAIN_ACKS_LATE"))


def nap(log: str, index: int, seconds: float) -> int:
    """Wait, and note in the file `log` when it begins and when it is over."""
    note(log, "begin", index)
    time.sleep(seconds)
    note(log, "end", index)
    return index


def note(log: str, word: str, index: int) -> None:
    """Append a line to a file that many processes append to."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{word} {index} {os.getpid()} {time.time()}\n".encode())
    finally:
        os.close(descriptor)


nap_task = celery.task(name="nap")(nap)
