"""`producer futures`."""

from __future__ import annotations

import sys

import click

from producer.commands.options import (
    SECONDS,
    WORKERS,
    Destination,
    ModelName,
    complete_workload,
    consoles,
    finish,
    models_option,
    saved,
)
from producer.experiments.job import InputError

#: Two local pools that differ in what `cancel` does, and the one model with a time limit.
DEFAULT = ("thread-pool", "process-pool", "broker-queue")


@click.command("futures")
@click.argument("workload", default="sum", shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@click.option("--model", "model_name", type=ModelName(), help="Only this one.")
@models_option(",".join(DEFAULT))
@WORKERS
@click.option(
    "--tasks", type=click.IntRange(min=1), metavar="N", help="So many calls: inputs are repeated or cut."
)
@click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", default=7.0, help="What wait is given.  [default: 7]"
)
@click.option("--quick", is_flag=True, help="Smaller inputs.")
@saved
def futures_command(
    workload: str,
    inputs: str | None,
    model_name: str | None,
    models: tuple[str, ...] | None,
    workers: int | None,
    tasks: int | None,
    timeout: float,
    quick: bool,
    destination: Destination,
) -> None:
    """Show the life of futures as it goes, on one model after another.

    All calls of WORKLOAD are submitted; wait gives up after its timeout, and tells what is done; as_completed
    gives each future when its call has ended. Then calls are cancelled, running and waiting ones, and a
    timeout is tried on a call that takes longer: does it stop the call? Each line is printed when it
    happens, with the seconds since the start and the future's state.

    WORKLOAD is one of those of `producer compare --help`, or a function of your own as module:function with
    --inputs. The models are thread-pool, process-pool and broker-queue, if no others are named; event-loop
    needs an async function.

    \b
    Examples:
      producer futures                                   sums, on three models
      producer futures --model thread-pool --timeout 1   wait gives up before the longest sum is done
      producer futures sleep --tasks 5 --models event-loop,broker-queue
      producer futures mymodule:work --inputs calls.jsonl --model process-pool --json futures.json
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.futures import futures
    from producer.experiments.job import job
    from producer.measurement.environment import cores_in_reach
    from producer.reports.futures import Story

    if model_name is not None and models is not None:
        raise InputError(
            "--model and --models exclude each other: --models takes several, separated by commas"
        )
    chosen = (model_name,) if model_name is not None else models or DEFAULT
    what = job(workload, inputs=inputs, quick=quick, tasks=tasks)
    out, _ = consoles()
    lives = futures(what, chosen, workers or cores_in_reach(), timeout, Story(out))
    if not lives.events and not lives.interrupted:
        raise InputError("; ".join(f"{model} {why}" for model, why in lives.unavailable.items()))
    finish(lives, destination)
    if lives.failed:
        sys.exit(1)
