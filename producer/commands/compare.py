"""`producer compare`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from producer.commands.options import (
    MODELS_OPTION,
    SECONDS,
    SEED,
    WORKERS,
    Destination,
    ParamType,
    chosen_seed,
    complete_workload,
    consoles,
    finish,
    saved,
)
from producer.experiments.job import InputError, Job
from producer.models import MODELS

if TYPE_CHECKING:
    from producer.measurement.run import Run

#: Seconds that the rounds may take: three of the default workload on two cores.
BUDGET = 80.0
#: Seconds that the rounds may take with `--quick`.
QUICK_BUDGET = 10.0


class Percentage(ParamType):
    """A percentage, as a share of 1."""

    name = "percentage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Take a number with a percent sign."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r} is not a percentage such as 10%", param, ctx)
        return float(found[1]) / 100


@click.command(short_help="Run a workload, or your own function, through every model.")
@click.argument("workload", default="sum", shell_complete=complete_workload)
@click.option(
    "--inputs", metavar="FILE", help="JSON lines, each the arguments of a call; - is standard input."
)
@MODELS_OPTION
@WORKERS
@click.option(
    "--tasks", type=click.IntRange(min=1), metavar="N", help="So many calls: inputs are repeated or cut."
)
@click.option(
    "--split", is_flag=True, help="Cut the ranges of sum into subtasks of equal size, and add them up."
)
@click.option("--quick", is_flag=True, help=f"Smaller inputs, and a budget of {QUICK_BUDGET:g} s.")
@click.option(
    "--rounds", type=click.IntRange(min=1), metavar="N", help="Rounds.  [default: what fits the budget]"
)
@click.option(
    "--budget",
    type=SECONDS,
    metavar="SECONDS",
    help=f"What the rounds may take; at least 2 are run.  [default: {BUDGET:g}]",
)
@click.option(
    "--timeout", type=SECONDS, metavar="SECONDS", help="Give a model up when no call ends for so long."
)
@SEED
@saved
@click.option("--baseline", metavar="RUN.json", help="Say what changed since this run, which --json saved.")
@click.option(
    "--fail-if-slower",
    type=Percentage(),
    metavar="PERCENT",
    help="End with exit code 1 if a model surely takes longer than the baseline by more than this.",
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
    destination: Destination,
    baseline: str | None,
    fail_if_slower: float | None,
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
    In CI, on a machine that is not shared, the same command for both:
      producer compare mymodule:work --inputs calls.jsonl --json before.json
      producer compare mymodule:work --inputs calls.jsonl --baseline before.json --fail-if-slower 10%
    The second ends with exit code 1 if for some model the whole 99 % confidence interval of
    makespan after / before is above 1.10, so that noise alone does not fail it.

    \b
    The figures:
      makespan   from the first call's submission to the last one's delivery
                 (median; from 6 rounds on with its 95 % bootstrap interval)
      speedup    against sequential in the same round, with its 95 % confidence interval; what is
                 called a difference is one at 99 %
      p50, p99   of the sojourn time: from when a call was due to be submitted (all are, at the
                 start) to the delivery of its result
      overhead   (makespan - ideal) / calls, where ideal is the longest of: all service times
                 shared by the calls that can be in progress at once, the longest call, and the
                 CPU seconds shared by the cores; all as sequential measured them
      CPU, ...   of all processes involved, Celery's included; memory is PSS where there is such
    """  # noqa: D301 - click wants the backspace
    from producer.experiments.compare import Options, UnreachableError, broker_url
    from producer.experiments.compare import compare as compare_models
    from producer.experiments.job import job
    from producer.measurement.environment import cores_in_reach

    if fail_if_slower is not None and baseline is None:
        raise InputError("--fail-if-slower needs --baseline RUN.json: a run that --json saved")
    what = job(workload, inputs=inputs, quick=quick, split=split, tasks=tasks)
    names = models or tuple(MODELS)
    before = None if baseline is None else _before(Path(baseline), what, names)
    if before is not None and fail_if_slower is not None:
        _check_rounds(before, names, rounds)
    options = Options(
        models=names,
        workers=workers or cores_in_reach(),
        rounds=rounds,
        budget=budget or (QUICK_BUDGET if quick else BUDGET),
        timeout=timeout,
        seed=chosen_seed(seed),
        url=broker_url(),
        flower=flower,
        settings={"quick": quick, "split": split, "tasks": tasks},
    )
    from producer.reports import progress

    out, err = consoles()
    try:
        with progress.Table(out) if progress.animated(out) else progress.Lines(err) as observer:
            run = compare_models(what, options, observer)
    except UnreachableError as error:
        raise InputError(str(error)) from error
    finish(run, destination, before)
    if not run.legs:
        raise InputError("none of the models can run this here")
    if before is not None and fail_if_slower is not None:
        _judge(before, run, fail_if_slower)


def _before(path: Path, what: Job, models: tuple[str, ...]) -> Run:
    """Read the baseline, before minutes of measuring.

    Raises:
        InputError: it can't be read, or nothing that is measured now can be compared with it.
    """
    from producer.measurement.change import makespans, same_calls
    from producer.measurement.result import load
    from producer.measurement.run import Run

    try:
        before = load(path, Run)
    except OSError as error:
        raise InputError(f"cannot read the baseline {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"no baseline: {error}") from error
    if before.workload != what.name:
        raise InputError(f"the baseline {path} is of {before.workload}, not of {what.name}")
    if not same_calls(what.name, before.calls, what.labels()):
        raise InputError(
            f"the baseline {path} has other calls: it needs the same inputs, --tasks, --split and --quick"
        )
    if not any(makespans(before, model) for model in models):
        measured = [model for model in before.models if makespans(before, model)]
        raise InputError(
            f"the baseline {path} has none of these models: it has {', '.join(measured) or 'none at all'}"
        )
    return before


def _check_rounds(before: Run, models: tuple[str, ...], rounds: int | None) -> None:
    """See that noise can be told from a difference.

    Raises:
        InputError: one round, now or before, can't do that.
    """
    from producer.measurement.change import makespans

    if rounds == 1:
        raise InputError("--fail-if-slower needs --rounds 2 or more: one does not tell what is noise")
    if all(len(makespans(before, model)) < 2 for model in models):
        raise InputError(
            "--fail-if-slower needs a baseline of 2 rounds or more: one does not tell what is noise"
        )


def _judge(before: Run, after: Run, share: float) -> None:
    """End with exit code 1 on a regression.

    Raises:
        InputError: there is nothing to judge.
    """
    from producer.measurement.change import changes, slower

    _, err = consoles()
    found = changes(before, after)
    if not any(one.told for one in found):
        raise InputError("no model has rounds enough before and after: whether one is slower is not known")
    worse = slower(found, share)
    if worse:
        names = ", ".join(one.model for one in worse)
        err.print(f"slower than the baseline by more than {100 * share:g} %: {names}", style="red")
        sys.exit(1)
