"""`producer run`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from producer.commands.options import INTERRUPTED, SECONDS, WORKERS, ModelName, consoles
from producer.experiments.job import InputError
from producer.models import MODELS, Model

if TYPE_CHECKING:
    from rich.console import Console


@click.command("run", short_help="Run your own function on one model; results as JSON lines.")
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option(
    "--inputs",
    metavar="FILE",
    required=True,
    help="JSON lines, each the arguments of a call; - is standard input.",
)
@click.option(
    "--model",
    "model_name",
    type=ModelName(),
    help="Where it runs.  [default: process-pool; event-loop for async]",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where the results go.  [default: standard output]",
)
@click.option("--unordered", is_flag=True, help="Write results as they come, not in the order of the inputs.")
@WORKERS
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Give up when no call ends for so long.")
def run_command(
    function: str,
    inputs: str,
    model_name: str | None,
    output: str | None,
    unordered: bool,
    workers: int | None,
    timeout: float | None,
) -> None:
    """Call MODULE:FUNCTION with each of the inputs, on one model, and stream the results.

    The models are those of `producer compare --help`. The function is imported from the current directory.
    Each line of the inputs is a JSON array (positional
    arguments) or object (keyword arguments); they are read as calls end, so there may be any number.

    Each result is a line of JSON: {"index": 0, "value": ...}, or {"index": 0, "error": {"type": ...,
    "message": ..., "traceback": ...}} for a call that failed. Exit code 1 says that some did.

    \b
    Examples:
      producer run mymodule:work --inputs calls.jsonl > results.jsonl
      producer run mymodule:work --inputs calls.jsonl --model broker-queue-batched --output results.jsonl
      seq 10 | jq -c '[.]' | producer run math:factorial --inputs - --unordered
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.job import is_asynchronous, load_function, read_inputs

    what = load_function(function)
    asynchronous = is_asynchronous(what)
    model = MODELS[model_name or ("event-loop" if asynchronous else "process-pool")]
    why = model.unavailable(None if asynchronous else what, what if asynchronous else None)
    if why is not None:
        raise InputError(f"{model.name} {why}")
    if output is not None and inputs != "-" and _same_file(output, inputs):
        raise InputError(f"--output {output} would overwrite the inputs")
    # A file is read once to its end before anything runs: a bad line shows now, not after an hour.
    total = None if _is_stream(inputs) else sum(1 for _ in read_inputs(inputs))
    if total == 0:
        raise InputError(f"{inputs} has no inputs: it needs a JSON array or object on each line")
    with _output(output) as stream:
        _fan_out(what, read_inputs(inputs), stream, model, not unordered, workers, timeout, total)


def _fan_out(
    function: Any,
    inputs: Any,
    stream: IO[bytes],
    model: Model,
    ordered: bool,
    workers: int | None,
    timeout: float | None,
    total: int | None,
) -> None:
    from producer.experiments.fan_out import fan_out
    from producer.experiments.place import open_executor
    from producer.measurement.environment import cores_in_reach
    from producer.measurement.trace import StalledError
    from producer.reports.records import record
    from worker.call import run, run_async

    done = failed = 0
    _, err = consoles()
    with open_executor(model, workers or cores_in_reach()) as executor, _bar(err, stream, total) as advance:
        outcomes = fan_out(
            executor,
            run_async if model.asynchronous else run,
            function,
            inputs,
            ordered=ordered,
            timeout=timeout,
            on_done=advance,
        )
        try:
            for index, outcome in outcomes:
                line, good = record(index, outcome)
                stream.write(line)
                stream.flush()
                done += 1
                failed += not good
        except KeyboardInterrupt:
            of = f" of {total}" if total is not None else ""
            err.print(
                f"producer: interrupted after {done}{of} calls, {failed} of them failed", style="yellow"
            )
            sys.exit(INTERRUPTED)
        except (StalledError, RuntimeError) as error:  # no call ends, or none can be submitted any more
            raise click.ClickException(f"gave up: {error}; {failed} of {done} calls failed") from error
    if failed:
        raise click.ClickException(f"{failed} of {done} calls failed")


def _is_stream(inputs: str) -> bool:
    """Tell whether inputs can be read only once: standard input, a pipe, a terminal."""
    return inputs == "-" or Path(inputs).is_fifo() or Path(inputs).is_char_device()


def _same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


@contextlib.contextmanager
def _output(file: str | None) -> Iterator[IO[bytes]]:
    if file is None:
        yield sys.stdout.buffer
        return
    try:
        with Path(file).open("wb") as stream:
            yield stream
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror or error}") from error


@contextlib.contextmanager
def _bar(err: Console, stream: IO[bytes], total: int | None) -> Iterator[Any]:
    """A progress bar on standard error, where that is a terminal and results don't go there too."""
    from producer.reports.progress import animated

    if not animated(err) or stream.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, refresh_per_second=4) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
