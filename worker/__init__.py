"""What runs on the cluster: the Celery app, its one task, and the demonstration's workloads.

It never imports `producer`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # `celery -A worker` looks for a Celery app named `app` and, since that is a module here, next for
    # one named `celery`. It is imported only then, because it reads the signing key: who needs
    # `worker.call` or `worker.workloads` needs neither Celery nor a key.
    if name == "celery":
        from worker.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
