"""A run: everything that an experiment measured, and what is needed to understand it later.

Saved as JSON. Reports are made from it, and from nothing else.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from producer.measurement.environment import Environment
from producer.measurement.resources import Resources
from producer.measurement.trace import Trace, from_columns, to_columns

#: Raised with every change that an older reader would misunderstand.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Leg:
    """One round of one model.

    Attributes:
        model: its name.
        round: counted from 1.
        at_once: how many calls could be in progress at a time.
        startup: seconds to open the executor and have every worker answer; not part of any other figure.
        trace: a row for each call.
        resources: what all processes involved used while the calls ran.
    """

    model: str
    round: int
    at_once: int
    startup: float
    trace: Trace
    resources: Resources


@dataclass(frozen=True, slots=True)
class Problem:
    """A result that is not what it has to be.

    Attributes:
        model: on which model.
        call: which call, as source text.
        what: what is wrong with it.
    """

    model: str
    call: str
    what: str


@dataclass(frozen=True)
class Run:
    """What `compare` measured.

    Attributes:
        workload: the name of what ran.
        calls: each call as source text, in order.
        models: every model that was asked for, in the order of the report.
        settings: the options that it ran with.
        environment: where it ran.
        began: when, in seconds since the epoch.
        legs: what was measured, in the order in which it was.
        unavailable: why a model did not run, for those that did not.
        problems: results that are wrong, and calls that failed.
        cluster_startup: seconds until the embedded cluster was ready; None if none was started.
        workers: how many workers a pool was given, and how many processes the cluster had.
        notes: what a reader should know, in sentences.
        interrupted: whether it was stopped before its end.
    """

    workload: str
    calls: tuple[str, ...]
    models: tuple[str, ...]
    settings: dict[str, Any]
    environment: Environment
    began: float
    legs: tuple[Leg, ...] = ()
    unavailable: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    cluster_startup: float | None = None
    notes: tuple[str, ...] = ()
    interrupted: bool = False


def save(run: Run, path: Path) -> None:
    """Write `run` to `path` as JSON.

    Raises:
        OSError: the file can't be written.
    """
    document = {"format": FORMAT, **{f.name: getattr(run, f.name) for f in dataclasses.fields(run)}}
    document["environment"] = dataclasses.asdict(run.environment)
    document["problems"] = [dataclasses.asdict(problem) for problem in run.problems]
    document["legs"] = [
        {
            "model": leg.model,
            "round": leg.round,
            "at_once": leg.at_once,
            "startup": leg.startup,
            "resources": dataclasses.asdict(leg.resources),
            "trace": to_columns(leg.trace),
        }
        for leg in run.legs
    ]
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


def load(path: Path) -> Run:
    """Read a run that `save` wrote.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds something else, or a run of another format.
    """
    try:
        document = json.loads(path.read_bytes())
        saved = document.pop("format")
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a saved run") from error
    if saved != FORMAT:
        raise ValueError(f"{path} was saved in format {saved}; this version reads format {FORMAT}")
    try:
        document["environment"] = Environment(**document["environment"])
        document["problems"] = tuple(Problem(**problem) for problem in document["problems"])
        document["legs"] = tuple(
            Leg(
                **{
                    **leg,
                    "resources": Resources(**leg["resources"]),
                    "trace": from_columns(leg["trace"]),
                }
            )
            for leg in document["legs"]
        )
        for name in ("calls", "models", "notes"):
            document[name] = tuple(document[name])
        return Run(**document)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a saved run") from error
