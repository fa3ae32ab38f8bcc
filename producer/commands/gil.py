"""`producer gil`."""

from __future__ import annotations

import click

from producer.commands.options import (
    SEED,
    WORKERS,
    Destination,
    chosen_seed,
    consoles,
    finish,
    models_option,
    saved,
)


@click.command("gil")
@models_option("sequential,thread-pool,process-pool")
@WORKERS
@click.option("--quick", is_flag=True, help="Shorter calls and fewer rounds: a quarter of a minute.")
@SEED
@saved
def gil_command(
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

    \b
    Examples:
      producer gil
      producer gil --quick --workers 4 --json gil.json
      producer gil --models thread-per-request,thread-pool,interpreter-pool
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.gil import DEFAULT_MODELS, measure_gil
    from producer.measurement.environment import cores_in_reach
    from producer.reports import progress

    _, err = consoles()
    with progress.Share(err) as observer:
        result = measure_gil(
            models or DEFAULT_MODELS,
            workers or cores_in_reach(),
            quick=quick,
            seed=chosen_seed(seed),
            observer=observer,
        )
    finish(result, destination)
