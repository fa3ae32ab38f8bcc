"""`producer blocking`."""

from __future__ import annotations

import click

from producer.commands.options import (
    MODELS_OPTION,
    SEED,
    WORKERS,
    Destination,
    chosen_seed,
    complete_workload,
    consoles,
    finish,
    saved,
)
from producer.experiments.job import InputError
from producer.models import MODELS


@click.command("blocking")
@click.argument("workload", required=False, shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@MODELS_OPTION
@WORKERS
@click.option("--quick", is_flag=True, help="Fewer rounds and calls, and a workload's smaller inputs.")
@SEED
@saved
def blocking_command(
    workload: str | None,
    inputs: str | None,
    models: tuple[str, ...] | None,
    workers: int | None,
    quick: bool,
    seed: int | None,
    destination: Destination,
) -> None:
    """Measure how late an event loop's heartbeat comes while calls are made from it.

    The heart is to beat every 10 ms. Meanwhile the loop makes calls: itself, so that it waits for each
    (sequential); as coroutines, which it awaits (event-loop); or by handing them to threads, processes or the
    broker queue (all others). The calls wait, compute in Python, and compute in C. If WORKLOAD is given, one
    of those of `producer compare --help` or module:function with --inputs, they are its calls.

    \b
    Examples:
      producer blocking --quick
      producer blocking --models sequential,event-loop,thread-pool,process-pool --json heart.json
      producer blocking fetch
      producer blocking mymodule:work --inputs calls.jsonl

    \b
    The figures:
      returns    for how long making a call holds the loop
      p50, p99   by how much a beat comes late, counted from when it was due
      missed     beats that came when the next one was due already
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.blocking import blocking
    from producer.experiments.job import job
    from producer.measurement.environment import cores_in_reach
    from producer.reports import progress

    if workload is None and inputs is not None:
        raise InputError("--inputs needs the function that they are for: producer blocking module:function")
    what = None if workload is None else job(workload, inputs=inputs, quick=quick)
    _, err = consoles()
    with progress.Share(err) as observer:
        result = blocking(
            what,
            models or tuple(MODELS),
            workers or cores_in_reach(),
            quick=quick,
            seed=chosen_seed(seed),
            observer=observer,
        )
    if not result.legs and not result.interrupted:
        raise InputError("; ".join(f"{model} {why}" for model, why in result.unavailable.items()))
    finish(result, destination)
