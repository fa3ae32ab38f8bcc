#!/usr/bin/env python3
"""Tells Prometheus how many messages wait in the broker, and how many are with workers.

    queue-metrics PORT

Flower counts what workers report; what no worker has taken yet is known to the broker alone. The
figures are read when Prometheus asks, so they are never old.
"""

from __future__ import annotations

import os
import signal
import sys

from prometheus_client import Gauge, start_http_server
from redis import Redis


def main() -> None:
    """Serve the figures until SIGTERM."""
    queue = os.environ.get("BREAKEVEN_QUEUE", "breakeven")
    broker = Redis.from_url(os.environ["CELERY_BROKER_URL"], socket_timeout=5)
    waiting = Gauge("breakeven_messages_waiting", "Messages that no worker has taken yet", ["queue"])
    waiting.labels(queue).set_function(lambda: float(broker.llen(queue)))
    # Kombu keeps what was delivered and not acknowledged yet in one hash for all queues.
    taken = Gauge("breakeven_messages_taken", "Messages that workers have taken and not finished")
    taken.set_function(lambda: float(broker.hlen("unacked")))
    start_http_server(int(sys.argv[1]))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
