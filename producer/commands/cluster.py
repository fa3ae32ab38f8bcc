"""`producer cluster`."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from pathlib import Path

import click

from producer.commands.options import INTERRUPTED, WORKERS, Group, consoles
from producer.experiments.job import InputError


@click.group(cls=Group, short_help="Start a cluster on this machine, or look at one.")
def cluster() -> None:
    """Start a cluster on this machine, or look at one."""


@cluster.command()
@WORKERS
@click.option("--flower/--no-flower", default=True, show_default=True, help="Have Flower watch it.")
def up(workers: int | None, flower: bool) -> None:
    """Run a broker, a Celery worker and Flower until Ctrl-C.

    It uses free ports of this machine's loopback and a private directory, and leaves nothing behind.
    Functions of your own are imported from the current directory.

    \b
    Example:
      producer cluster up --workers 4
    and in another shell, with the line that it prints:
      export CELERY_BROKER_URL=redis://...
      producer compare
    """  # noqa: D301 - click wants the backspace
    from producer.broker import queue_name
    from producer.cluster import ClusterError, embedded
    from producer.measurement.environment import cores_in_reach
    from worker.signing import key_file

    out, err = consoles()
    count = workers or cores_in_reach()
    ready = False
    try:
        with err.status("starting the cluster"):
            stack = contextlib.ExitStack()
            # The user's own key and queue, so that other shells need no more than the broker's URL.
            made = embedded(
                count, paths=[str(Path.cwd())], flower=flower, key_file=key_file(), queue=queue_name()
            )
            running = stack.enter_context(made)
        with stack:
            out.print(f"A cluster with {count} worker processes is ready. Ctrl-C ends it.", highlight=False)
            if running.flower_url:
                out.print(f"Flower: {running.flower_url}", highlight=False)
            out.print("In another shell:", highlight=False)
            out.print(f"  export CELERY_BROKER_URL={running.url}", highlight=False, soft_wrap=True)
            sys.stdout.flush()
            ready = True
            threading.Event().wait()
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        err.print("The cluster is down.")
        if not ready:
            sys.exit(INTERRUPTED)


@cluster.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Show the workers of the cluster that CELERY_BROKER_URL names.

    Exit code 1 says that the broker answers, but no worker does; 2, that the broker does not.

    \b
    Example:
      CELERY_BROKER_URL=redis://127.0.0.1:6379/0 producer cluster status
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.compare import broker_url

    url = broker_url()
    if url is None:
        raise InputError(
            "CELERY_BROKER_URL is not set: it names the cluster; `producer cluster up` starts one"
        )
    from producer.broker import BrokerUnavailableError, workers

    try:
        found = workers(url)
    except BrokerUnavailableError as error:
        raise InputError(str(error)) from error
    out, _ = consoles()
    if as_json:
        import dataclasses

        click.echo(json.dumps([dataclasses.asdict(worker) for worker in found]))
    elif found:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD)
        for column in ("worker", "host", "processes", "Python"):
            table.add_column(column, overflow="fold")
        for worker in found:
            table.add_row(worker.name, worker.host, str(worker.processes), worker.python)
        out.print(table)
    if not found:
        raise click.ClickException("the broker answers, but no worker does")
