"""What an experiment over workers gives them to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from producer.experiments.job import InputError, Job, job, nearest, served
from producer.experiments.kind import KINDS, kind
from worker.workloads import WORKLOADS

#: Seconds that a call of each kind takes: long against what it costs to hand it over, short enough for
#: hundreds of them.
SECONDS = {"cpu": 1e-3, "digest": 1e-3, "io": 5e-3}


def works(
    name: str | None,
    inputs: str | None,
    stack: ExitStack,
    *,
    quick: bool,
    kinds: Mapping[str, float] = SECONDS,
    default: Sequence[str] = tuple(SECONDS),
) -> list[Job]:
    """Return what to do: some kinds of call; one of them; or a workload or function with its inputs.

    Args:
        name: of a kind, or as `job.job` takes it; None for those of `default`.
        inputs: a file of JSON lines with the arguments of each call; `-` is standard input.
        stack: closes the server that a job may need.
        quick: take a workload's smaller inputs.
        kinds: seconds of a call of each kind.
        default: kinds to take where none is named.

    Raises:
        InputError: there is no such work or file, or no inputs where they are needed.
    """
    if name is None and inputs is not None:
        raise InputError("--inputs goes with a workload or a module:function: name it first")
    if inputs is None and (name is None or name in kinds):
        return [kind(one, stack).job(kinds[one]) for one in (default if name is None else (name,))]
    assert name is not None  # noqa: S101 - for the type checker: seen above
    if ":" not in name and name not in WORKLOADS:
        if name in KINDS:
            raise InputError(f"{name} has calls of its own: --inputs goes with a workload or module:function")
        names = dict.fromkeys([*KINDS, *WORKLOADS])
        hint = nearest(name, names) or f"there are {', '.join(names)}, and module:function"
        raise InputError(f"there is no work {name!r}: {hint}")
    return [stack.enter_context(served(job(name, inputs=inputs, quick=quick)))]
