"""`producer scale`."""

from __future__ import annotations

import click

from producer.commands.options import (
    SEED,
    Destination,
    ModelNames,
    chosen_seed,
    complete_workload,
    consoles,
    finish,
    saved,
)


@click.command("scale")
@click.argument("work", required=False, metavar="[WORKLOAD]", shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@click.option(
    "--models",
    type=ModelNames(),
    default="broker-queue,broker-queue-batched",
    show_default=True,
    help="One of them, or both.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="The most worker processes.  [default: 16, with --quick 8, or the cores if they are more]",
)
@click.option("--quick", is_flag=True, help="Fewer processes, fewer and shorter runs: under a minute.")
@SEED
@saved
def scale_command(
    work: str | None,
    inputs: str | None,
    models: tuple[str, ...],
    workers: int | None,
    quick: bool,
    seed: int | None,
    destination: Destination,
) -> None:
    """Find how far the broker queue scales, and what limits it.

    \b
    WORKLOAD is one of
      io         calls that wait 20 ms: the cores do not limit them
      cpu        calls that compute 10 ms in pure Python, up to as many processes as there are cores
      digest     calls that compute 10 ms in C, likewise
    The first two are measured if none is named. Or one of the workloads of `producer compare`, or a function
    of your own as module:function, which is imported from the current directory and needs --inputs: each
    line of that file is a JSON array (positional arguments) or object (keyword arguments).

    Embedded clusters are started one after the other, in each round anew: one worker with 1, 2, 4, ...
    processes, and 2, 4, ... workers with two processes each. Throughput is calls / makespan, all calls being
    submitted at once. Efficiency is the throughput of each process, against that of one alone.

    To the clusters of one worker the universal scalability law (Gunther) is fitted, where there are at least
    four: X(n) = rate * n / (1 + sigma * (n-1) + kappa * n * (n-1)). sigma is contention, what processes queue
    for; kappa is coherency, what each settles with each other. Whose CPU time was used up, of the cores,
    the producer or the broker, is measured beside.

    Where CELERY_BROKER_URL is set, the workers are those that are there, and the number of messages that are
    under way to them is varied instead.

    \b
    Examples:
      producer scale                               waiting and computing, with batches and without
      producer scale io --models broker-queue-batched --workers 64
      producer scale mymodule:work --inputs calls.jsonl --quick --json scale.json
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.scale import scale
    from producer.reports import progress

    _, err = consoles()
    with progress.Share(err) as observer:
        result = scale(work, inputs, models, workers, quick=quick, seed=chosen_seed(seed), observer=observer)
    finish(result, destination)
