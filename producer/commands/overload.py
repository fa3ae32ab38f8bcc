"""`producer overload`."""

from __future__ import annotations

import click

from producer.commands.options import (
    SECONDS,
    SEED,
    WORKERS,
    Destination,
    ModelNames,
    chosen_seed,
    complete_workload,
    consoles,
    finish,
    saved,
)
from producer.experiments.job import InputError
from producer.models.variants import VARIANTS

#: What is put under load, unless other models are named.
DEFAULT = (
    "thread-per-request",
    "thread-pool",
    "thread-pool-blocking",
    "thread-pool-rejecting",
    "event-loop",
    "broker-queue",
)


@click.command("overload")
@click.argument("workload", default="query", shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@click.option(
    "--models",
    type=ModelNames(VARIANTS),
    help=f"Only these, separated by commas.  [default: {','.join(DEFAULT)}]",
)
@WORKERS
@click.option(
    "--arrivals",
    type=click.Choice(["constant", "poisson"]),
    default="poisson",
    help="Calls come evenly, or by chance.  [default: poisson]",
)
@click.option(
    "--duration", type=SECONDS, metavar="SECONDS", help="How long calls arrive, for each model.  [default: 8]"
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="CALLS/S",
    help="Take this for the capacity of each model.  [default: measure it]",
)
@click.option(
    "--add-workers",
    type=click.IntRange(min=0),
    metavar="N",
    help="Processes of the worker that is added to the embedded cluster; 0: none.  [default: as --workers]",
)
@click.option("--quick", is_flag=True, help="Shorter ramps: under 40 s.")
@SEED
@saved
def overload_command(
    workload: str,
    inputs: str | None,
    models: tuple[str, ...] | None,
    workers: int | None,
    arrivals: str,
    duration: float | None,
    rate: float | None,
    add_workers: int | None,
    quick: bool,
    seed: int | None,
    destination: Destination,
) -> None:
    """Have calls arrive faster than they can be served, and see what each model makes of it.

    For each model its capacity is measured first, in calls a second. Then calls arrive at a rate that grows
    from half to three times of that, whatever became of those before them. Sojourn times count from when a
    call arrived, not from when submit was free to take it.

    WORKLOAD is query, a call that holds one of its process's connections for 20 ms, of which there is one
    for each worker; or one of those of `producer compare --help`; or a function of your own as
    module:function with --inputs, which are repeated as often as needed.

    \b
    The models, beside those of `producer compare --help`:
      thread-pool             its queue takes whatever comes
      thread-pool-blocking    submit waits while 8 calls wait for each worker
      thread-pool-rejecting   submit refuses a call while 8 calls wait for each worker
      broker-queue            in the embedded cluster, a second worker is added at 1.5 times the capacity

    A safety limit ends the arrivals of a model: 500 threads (with --quick 150), or 1,000 MB more memory.

    \b
    Examples:
      producer overload                        six models, in under two minutes
      producer overload --quick --models thread-pool,thread-pool-rejecting
      producer overload sleep --arrivals constant --duration 5
      producer overload mymodule:work --inputs calls.jsonl --workers 8 --json overload.json
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.overload import Options, job_of, overload
    from producer.measurement.environment import cores_in_reach
    from producer.reports.progress import animated
    from producer.reports.race import Lines, Race

    count = workers or cores_in_reach()
    what = job_of(workload, count, inputs=inputs, quick=quick)
    options = Options(
        models=models or DEFAULT,
        workers=count,
        quick=quick,
        duration=duration,
        capacity=rate,
        arrivals=arrivals,
        add_workers=count if add_workers is None else add_workers,
        seed=chosen_seed(seed),
    )
    _, err = consoles()
    # Those that can't run this at all have no place in the race.
    racing = [
        name for name in options.models if not VARIANTS[name].unavailable(what.function, what.async_function)
    ]
    with Race(err, racing) if animated(err) else Lines(err) as observer:
        result = overload(what, options, observer)
    if not result.legs and not result.interrupted:
        raise InputError("; ".join(f"{model} {why}" for model, why in result.unavailable.items()))
    finish(result, destination)
