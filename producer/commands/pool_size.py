"""`producer pool-size`."""

from __future__ import annotations

from typing import Any

import click

from producer.commands.options import (
    SEED,
    Destination,
    ModelNames,
    ParamType,
    chosen_seed,
    complete_workload,
    consoles,
    finish,
    saved,
)


class Sizes(ParamType):
    """Numbers of workers, separated by commas."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take whole numbers of at least 1."""
        if not isinstance(value, str):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not words or not all(word.isdecimal() and int(word) >= 1 for word in words):
            self.fail(f"{value!r} is no list of numbers of workers, like 1,2,4,8", param, ctx)
        return tuple(sorted({int(word) for word in words}))


@click.command("pool-size")
@click.argument("work", required=False, metavar="[WORKLOAD]", shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@click.option(
    "--sizes",
    type=Sizes(),
    metavar="N,N,...",
    help="Numbers of workers.  [default: 1, 2, 4, ... 32, and the standard library's]",
)
@click.option(
    "--models",
    type=ModelNames(),
    default="thread-pool,process-pool",
    show_default=True,
    help="Pools, separated by commas; interpreter-pool and the broker queues are some, too.",
)
@click.option("--quick", is_flag=True, help="Up to 16 workers, and shorter runs: under a minute.")
@SEED
@saved
def pool_size_command(
    work: str | None,
    inputs: str | None,
    sizes: tuple[int, ...] | None,
    models: tuple[str, ...],
    quick: bool,
    seed: int | None,
    destination: Destination,
) -> None:
    """Find how many workers a pool should have.

    \b
    WORKLOAD is one of
      cpu        calls that compute 1 ms in pure Python
      digest     calls that compute 1 ms in C, which releases the GIL
      io         calls that wait 5 ms
    All three are measured if none is named. Or one of the workloads of `producer compare`, or a function of
    your own as module:function, which is imported from the current directory and needs --inputs: each line
    of that file is a JSON array (positional arguments) or object (keyword arguments).

    Calls come in a closed loop: twice as many as there are workers are under way at any time, and when one
    is delivered the next is submitted. Throughput is calls / makespan. p99 is that of the sojourn time, from
    when there was room for a call to its delivery; so half of it is the wait behind another call. Beyond the
    knee more workers share the same throughput, and the p99 grows with their number.

    Recommended is the size with the highest throughput^3 / p99 (the power of a queueing system, Kleinrock
    1979): here, where twice the workers no longer bring 19 % more throughput. Its confidence is the share of
    2,000 resamples of the rounds (bootstrap) in which the same size has it. Rounds are interleaved, and the
    order within each is shuffled.

    The standard library's defaults are measured beside: min(32, cores + 4) for a thread pool, the cores for
    a process pool.

    \b
    Examples:
      producer pool-size                           thread pool and process pool, three kinds of work
      producer pool-size io --sizes 8,16,32,64,128 --models thread-pool
      producer pool-size fetch --quick
      producer pool-size mymodule:work --inputs calls.jsonl --json sizes.json
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.pool_size import pool_size
    from producer.reports import progress

    _, err = consoles()
    with progress.Share(err) as observer:
        result = pool_size(
            work, inputs, models, sizes, quick=quick, seed=chosen_seed(seed), observer=observer
        )
    finish(result, destination)
