"""`producer gil`."""

from __future__ import annotations

import click

from producer.commands.options import (
    SEED,
    WORKERS,
    Destination,
    chosen_seed,
    complete_workload,
    consoles,
    finish,
    models_option,
    saved,
)


@click.command("gil")
@click.argument("work", required=False, metavar="[WORKLOAD]", shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@models_option("sequential,thread-pool,process-pool")
@WORKERS
@click.option("--quick", is_flag=True, help="Shorter calls and fewer rounds: a quarter of a minute.")
@SEED
@saved
def gil_command(
    work: str | None,
    inputs: str | None,
    models: tuple[str, ...] | None,
    workers: int | None,
    quick: bool,
    seed: int | None,
    destination: Destination,
) -> None:
    """Measure what the GIL costs.

    Calls that compute in pure Python, and calls of the same length that compute in C and release the GIL,
    run one after another, on a thread pool, and for contrast on a process pool; or on the models that
    --models names, always beside sequential. What the GIL cost is the speedup of the calls in C, divided by
    that of those in Python. On a free-threaded Python it says that there is no GIL, and what threads gain.

    With WORKLOAD its calls take the place of pure Python, to tell whether they hold the GIL, and what that
    costs them: one of cpu, digest and io, of the workloads of `producer compare`, or a function of your own
    as module:function, which is imported from the current directory and needs --inputs: each line of that
    file is a JSON array (positional arguments) or object (keyword arguments). The calls in C take as long as
    those took alone.

    \b
    Examples:
      producer gil
      producer gil mymodule:work --inputs calls.jsonl
      producer gil --quick --workers 4 --json gil.json
      producer gil --models thread-per-request,thread-pool,interpreter-pool
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.gil import DEFAULT_MODELS, measure_gil
    from producer.measurement.environment import cores_in_reach
    from producer.reports import progress

    _, err = consoles()
    with progress.Share(err) as observer:
        result = measure_gil(
            work,
            inputs,
            models or DEFAULT_MODELS,
            workers or cores_in_reach(),
            quick=quick,
            seed=chosen_seed(seed),
            observer=observer,
        )
    finish(result, destination)
