"""The `producer` command: what the user types, and what becomes of it. Everything else is elsewhere.

Exit codes: 0 fine; 1 results differ, or calls failed; 2 bad input, or an unreachable broker; 130 Ctrl-C.

Modules are imported by the commands that need them, so that `--help` and completion answer at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

import click

from producer.experiments.job import InputError, nearest
from producer.models import MODELS, Model

if TYPE_CHECKING:
    from rich.console import Console


if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # generic for type checkers only, before click 8.4

INTERRUPTED = 130
TERMINATED = 143
#: Seconds that the rounds of `compare` may take: three of the default workload on two cores.
_BUDGET = 80.0
#: Seconds that the rounds of `compare --quick` may take.
_QUICK_BUDGET = 10.0


class _Terminated(BaseException):
    """SIGTERM came. Not `SystemExit`, which a call may raise, and which then is its outcome."""


class _Group(click.Group):
    """A group that knows which command was meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            commands = self.list_commands(ctx)
            hint = nearest(name, commands) or f"there are {', '.join(commands)}"
            raise click.UsageError(f"there is no command {name!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)


class _ModelName(_ParamType):
    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in MODELS:
            hint = nearest(value, MODELS) or f"there are {', '.join(MODELS)}"
            self.fail(f"there is no model {value!r}: {hint}", param, ctx)
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[click.shell_completion.CompletionItem]:
        return _items(MODELS, incomplete)


class _ModelNames(_ModelName):
    name = "models"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        names = dict.fromkeys(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail("names no model", param, ctx)
        return tuple(_ModelName.convert(self, name, param, ctx) for name in names)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[click.shell_completion.CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        return [
            click.shell_completion.CompletionItem(f"{before}{comma}{item.value}")
            for item in _items(MODELS, last)
        ]


def _items(
    names: Sequence[str] | dict[str, Any], incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    return [click.shell_completion.CompletionItem(name) for name in names if name.startswith(incomplete)]


def _complete_workload(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[click.shell_completion.CompletionItem]:
    from worker.workloads import WORKLOADS

    return _items(WORKLOADS, incomplete)


_WORKERS = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Workers of each pool, and processes of the embedded cluster.  [default: cores in reach]",
)
_SECONDS = click.FloatRange(min=0, min_open=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="breakeven", prog_name="producer")
def cli() -> None:
    """One workload through every concurrency model that Python offers, side by side.

    \b
    Examples:
      producer compare                                all models, on sums of very uneven length
      producer compare fetch --models thread-pool,event-loop
      producer run mymodule:work --inputs calls.jsonl > results.jsonl
      producer break-even --quick                     from which size of a call on each model pays
      producer cluster up                             a broker, workers and Flower, until Ctrl-C
      producer faults                                 workers killed at work, beside plain Celery

    Where CELERY_BROKER_URL is set, the broker queue is the cluster that it names. Otherwise one is started
    on this machine for as long as a command runs.
    """  # noqa: D301 - click wants the backspace


@cli.command(short_help="Run a workload, or your own function, through every model.")
@click.argument("workload", default="sum", shell_complete=_complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@click.option("--models", type=_ModelNames(), help="Only these, separated by commas.  [default: all]")
@_WORKERS
@click.option(
    "--tasks", type=click.IntRange(min=1), metavar="N", help="So many calls: inputs are repeated or cut."
)
@click.option(
    "--split", is_flag=True, help="Cut the ranges of sum into subtasks of equal size, and add them up."
)
@click.option("--quick", is_flag=True, help=f"Smaller inputs, and a budget of {_QUICK_BUDGET:g} s.")
@click.option(
    "--rounds", type=click.IntRange(min=1), metavar="N", help="Rounds.  [default: what fits the budget]"
)
@click.option(
    "--budget",
    type=_SECONDS,
    metavar="SECONDS",
    help=f"What the rounds may take; at least 2 are run.  [default: {_BUDGET:g}]",
)
@click.option(
    "--timeout", type=_SECONDS, metavar="SECONDS", help="Give a model up when no call ends for so long."
)
@click.option("--seed", type=int, help="For the order of the models in each round.  [default: by chance]")
@click.option(
    "--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False), help="Save everything measured."
)
@click.option("--flower", is_flag=True, help="Have Flower watch the embedded cluster.")
def compare(
    workload: str,
    inputs: str | None,
    models: tuple[str, ...] | None,
    workers: int | None,
    tasks: int | None,
    split: bool,
    quick: bool,
    rounds: int | None,
    budget: float | None,
    timeout: float | None,
    seed: int | None,
    json_file: str | None,
    flower: bool,
) -> None:
    """Run WORKLOAD through every model, and compare.

    \b
    WORKLOAD is one of
      sum        sums of very uneven length: pure-Python CPU work (the default)
      digest     PBKDF2 in C: CPU work that releases the GIL
      fetch      GETs of a slow HTTP server on this machine: network waiting
      sleep      waiting, and nothing else
      noop       nothing at all: what is left is the model's own overhead

    Or a function of your own as module:function, which is imported from the current directory and needs
    --inputs: each line of that file is a JSON array (positional arguments) or object (keyword arguments).
    An async function runs on the event loop.

    The models: sequential, thread-per-request, thread-pool, process-pool, interpreter-pool (Python
    3.14), event-loop (async functions), broker-queue, broker-queue-batched.

    Every model runs all calls once in each round. Results are checked against each other, and against the
    expected ones where they are known; a difference ends with exit code 1.

    \b
    Examples:
      producer compare                             the sums of 1..n, for n up to 100,000,000
      producer compare --quick --split             smaller sums, cut into equal subtasks
      producer compare noop --tasks 5000           what each model adds to a call
      producer compare mymodule:work --inputs calls.jsonl --models sequential,process-pool
      producer compare digest --rounds 5 --json digest.json

    \b
    The figures:
      makespan   from the first call's submission to the last one's delivery
      speedup    against sequential in the same round, with its 95 % confidence interval
      p50, p99   of the sojourn time: from when a call was due to be submitted (all are, at the
                 start) to the delivery of its result
      overhead   (makespan - ideal) / calls, where ideal is the longest of: all service times
                 shared by the calls that can be in progress at once, the longest call, and the
                 CPU seconds shared by the cores; all as sequential measured them
      CPU, ...   of all processes involved, Celery's included; memory is PSS where there is such
    """  # noqa: D301 - click wants the backspace
    import secrets

    from producer.experiments.compare import Options, UnreachableError, broker_url
    from producer.experiments.compare import compare as compare_models
    from producer.experiments.job import job
    from producer.measurement.environment import cores_in_reach
    from producer.measurement.run import save

    what = job(workload, inputs=inputs, quick=quick, split=split, tasks=tasks)
    if json_file is not None:
        _check_writable(Path(json_file))
    options = Options(
        models=models or tuple(MODELS),
        workers=workers or cores_in_reach(),
        rounds=rounds,
        budget=budget or (_QUICK_BUDGET if quick else _BUDGET),
        timeout=timeout,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        url=broker_url(),
        flower=flower,
        settings={"quick": quick, "split": split, "tasks": tasks},
    )
    from producer.reports import progress, terminal

    out, err = _consoles()
    try:
        with progress.Table(out) if out.is_terminal else progress.Lines(err) as observer:
            run = compare_models(what, options, observer)
    except UnreachableError as error:
        raise InputError(str(error)) from error
    terminal.report(run, out)
    if json_file is not None:
        _save(run, json_file, save)
    if run.interrupted:
        err.print("interrupted: this is what there was so far", style="yellow")
        sys.exit(INTERRUPTED)
    if run.problems:
        sys.exit(1)
    if not run.legs:
        raise InputError("none of the models can run this here")


def _check_writable(file: Path) -> None:
    """Find out before minutes of measuring, and not after them."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise InputError(f"cannot write {file}: there is no such directory")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise InputError(f"cannot write {file}: no permission")


def _save(run: Any, file: str, save: Any) -> None:
    try:
        save(run, Path(file))
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror or error}") from error


@cli.command("run", short_help="Run your own function on one model; results as JSON lines.")
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
    type=_ModelName(),
    help="Where it runs.  [default: process-pool; event-loop for async]",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where the results go.  [default: standard output]",
)
@click.option("--unordered", is_flag=True, help="Write results as they come, not in the order of the inputs.")
@_WORKERS
@click.option("--timeout", type=_SECONDS, metavar="SECONDS", help="Give up when no call ends for so long.")
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
    _, err = _consoles()
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
    if not err.is_terminal or stream.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, refresh_per_second=4) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


@cli.command("break-even")
@click.argument("kind", default="cpu")
@click.option("--models", type=_ModelNames(), help="Only these, separated by commas.  [default: all]")
@_WORKERS
@click.option("--quick", is_flag=True, help="Fewer sizes and shorter runs: under a minute.")
@click.option("--seed", type=int, help="For the order of the models in each round.  [default: by chance]")
@click.option(
    "--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False), help="Save everything measured."
)
def break_even_command(
    kind: str,
    models: tuple[str, ...] | None,
    workers: int | None,
    quick: bool,
    seed: int | None,
    json_file: str | None,
) -> None:
    """Find from which size of a call on each model pays.

    KIND says what the calls do: cpu computes in pure Python, io waits, and module:function is a function of
    your own, imported from the current directory and called with its size in seconds. Each model's
    throughput is measured over that size, and where the winner changes is read off.

    \b
    Examples:
      producer break-even                     computing, from 1 µs to 1 s a call
      producer break-even io --quick          waiting, in under a minute
      producer break-even --models sequential,process-pool,broker-queue-batched --json sweep.json
    """  # noqa: D301 - click wants the backspace
    import secrets

    from producer.experiments.break_even import break_even, save
    from producer.experiments.compare import CannotRunError
    from producer.measurement.environment import cores_in_reach
    from producer.reports import progress
    from producer.reports.break_even import report

    if json_file is not None:
        _check_writable(Path(json_file))
    out, err = _consoles()
    with progress.Share(err) as observer:
        try:
            sweep = break_even(
                kind,
                models or tuple(MODELS),
                workers or cores_in_reach(),
                quick=quick,
                seed=secrets.randbelow(2**32) if seed is None else seed,
                observer=observer,
            )
        except CannotRunError as error:
            raise click.ClickException(str(error)) from error
    report(sweep, out)
    if json_file is not None:
        _save(sweep, json_file, save)
    if sweep.interrupted:
        sys.exit(INTERRUPTED)


@cli.command()
@click.option("--quick", is_flag=True, help="Fewer and shorter calls, and fewer kills.")
@click.option(
    "--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False), help="Save everything measured."
)
def faults(quick: bool, json_file: str | None) -> None:
    """Kill workers while they work, and see what becomes of their calls.

    500 calls of 0.5 s run on two Celery workers of this machine, and five times a whole worker, parent and
    children, is killed and replaced: first with this project's settings, then with Celery's defaults, then
    with the one that guides add to them (acks_late). It takes about two minutes. CELERY_BROKER_URL plays no
    part: nothing is killed but what was started here.

    Exit code 1 says that a call was lost with this project's settings.

    \b
    Examples:
      producer faults --quick
      producer faults --json faults.json
    """  # noqa: D301 - click wants the backspace
    import dataclasses

    from producer.cluster import ClusterError, bench
    from producer.experiments.faults import QUICK, Drill, Plan, drills
    from producer.measurement.environment import environment
    from producer.reports import drill

    if json_file is not None:
        _check_writable(Path(json_file))
    plan, where = QUICK if quick else Plan(), environment()
    out, err = _consoles()
    done: list[Drill] = []
    interrupted = False
    try:
        with drill.Spinner(out) if out.is_terminal else drill.Lines(err) as observer, bench() as made:
            for one in drills(plan, made, observer):
                done.append(one)  # noqa: PERF402 - one by one, so that an interruption leaves those before
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        interrupted = True
    if done:
        drill.report(plan, done, out)
    if json_file is not None:
        document = {
            "format": "breakeven faults 1",
            "plan": dataclasses.asdict(plan),
            "environment": dataclasses.asdict(where),
            "drills": [dataclasses.asdict(each) for each in done],
            "findings": drill.findings(plan, done),
        }
        try:
            Path(json_file).write_text(json.dumps(document) + "\n")
        except OSError as error:
            raise click.ClickException(f"cannot write {json_file}: {error.strerror or error}") from error
    if interrupted:
        err.print("interrupted: this is what there was so far", style="yellow")
        sys.exit(INTERRUPTED)
    if done[0].lost:
        sys.exit(1)


@cli.group(cls=_Group, short_help="Start a cluster on this machine, or look at one.")
def cluster() -> None:
    """Start a cluster on this machine, or look at one."""


@cluster.command()
@_WORKERS
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

    out, err = _consoles()
    count = workers or cores_in_reach()
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
            threading.Event().wait()
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        err.print("The cluster is down.")


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
    out, _ = _consoles()
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


@cli.command(short_help="Print the completion script of your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options, models and workloads.

    \b
    Examples:
      eval "$(producer completion bash)"          in ~/.bashrc
      eval "$(producer completion zsh)"           in ~/.zshrc
      producer completion fish > ~/.config/fish/completions/producer.fish
    """  # noqa: D301 - click wants the backspace
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows all three
    click.echo(made(cli, {}, "producer", "_PRODUCER_COMPLETE").source())


def _consoles() -> tuple[Console, Console]:
    from rich.console import Console

    return Console(), Console(stderr=True)


def main() -> None:
    """Run the command line, and leave with its exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    code = _run(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if code and threading.active_count() > 1:
        # Calls that were given up still run in threads, which Python cannot end and would wait for: even for
        # daemons, where a pool started them.
        os._exit(code)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        result = cli.main(arguments, prog_name="producer", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    except InputError as error:
        return _complain(str(error), 2)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", INTERRUPTED)
    except _Terminated:
        return TERMINATED
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered has nowhere to go.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # as click does
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"producer: {message}", file=sys.stderr)  # noqa: T201, RUF100
    return code


_interrupts = 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take the first Ctrl-C, and let the clean-up that it sets off go on; the third one ends it all."""
    global _interrupts  # noqa: PLW0603, RUF100
    _interrupts += 1
    if _interrupts == 1:
        raise KeyboardInterrupt
    if _interrupts > 2:
        os._exit(INTERRUPTED)  # the children notice by themselves, and leave
    _complain("cleaning up; once more to leave at once", 0)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated
