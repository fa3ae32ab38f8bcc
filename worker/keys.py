"""Every name that this project writes to Redis, in one place (Celery's and Kombu's own apart)."""

from __future__ import annotations

#: Version of the wire format: a worker and a producer understand each other only with the same one.
PROTOCOL = 1

#: Celery stores and publishes the result of the message `<id>` under this prefix and the id.
RESULT_PREFIX = "celery-task-meta-"

#: Kombu's record of the messages that are in workers' hands, by their delivery tags.
UNACKED = "unacked"

#: Seconds after which whatever a batch left behind is gone, also where nobody is left to delete it.
EXPIRES = 3600


def result(batch_id: str) -> str:
    """Name the key, and the channel, of a batch's reply."""
    return RESULT_PREFIX + batch_id


def batch(batch_id: str) -> str:
    """Name the hash that is the ledger of a batch (worker.ledger)."""
    return f"breakeven:batch:{batch_id}"


def news(executor_id: str) -> str:
    """Name the channel on which workers tell an executor which of its batches they begin."""
    return f"breakeven:news:{executor_id}"


def executor(executor_id: str) -> str:
    """Name the key that exists while the executor lives."""
    return f"breakeven:executor:{executor_id}"


def worker(queue: str, name: str) -> str:
    """Name the key that exists while the worker called `name` serves `queue`, and describes it."""
    return f"breakeven:worker:{queue}:{name}"


def workers(queue: str) -> str:
    """Name the set of the workers that serve `queue`, or did so lately."""
    return f"breakeven:workers:{queue}"


def executor_of(batch_id: str) -> str:
    """Return the id of the executor that sent a batch: batch ids are `<executor id>-<number>`."""
    return batch_id.rpartition("-")[0]
