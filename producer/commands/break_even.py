"""`producer break-even`."""

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
from producer.models import MODELS


@click.command("break-even")
@click.argument("work", default="cpu", metavar="[WORKLOAD]", shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@MODELS_OPTION
@WORKERS
@click.option("--quick", is_flag=True, help="Fewer sizes and shorter runs: under a minute.")
@SEED
@saved
def break_even_command(
    work: str,
    inputs: str | None,
    models: tuple[str, ...] | None,
    workers: int | None,
    quick: bool,
    seed: int | None,
    destination: Destination,
) -> None:
    """Find from which size of a call on each model pays.

    WORKLOAD says what the calls do: cpu computes in pure Python, digest in C without the GIL, io waits; sum,
    sleep and fetch are like the workloads of these names; and module:function is a function of your own,
    imported from the current directory and called with its size in seconds. Each model's throughput is
    measured over that size, in interleaved rounds, and where the winner changes is read off. A change
    counts where it is more than noise (99 % confidence).

    The size of a call is what it takes, measured here at the start. With --inputs the sizes are those of your
    calls: each line of that file is a JSON array (positional arguments) or object (keyword arguments) for the
    workload or function, and lines that take about equally long are one size. noop has calls of its own.

    At each size a model runs as many calls as fit into a fraction of a second, at least one for each of its
    workers. thread-per-request and event-loop have all calls in progress at once: for calls that wait, up
    to 256.

    \b
    Examples:
      producer break-even                     computing, from 1 µs to 1 s a call
      producer break-even io --quick          waiting, in under a minute
      producer break-even mymodule:work --inputs calls.jsonl
      producer break-even --models sequential,process-pool,broker-queue-batched --json sweep.json
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.break_even import break_even
    from producer.measurement.environment import cores_in_reach
    from producer.reports import progress

    _, err = consoles()
    with progress.Share(err) as observer:
        sweep = break_even(
            work,
            inputs,
            models or tuple(MODELS),
            workers or cores_in_reach(),
            quick=quick,
            seed=chosen_seed(seed),
            observer=observer,
        )
    finish(sweep, destination)
