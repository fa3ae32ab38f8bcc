"""A run: what `compare` measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from producer.measurement.noise import Noise
from producer.measurement.resources import Resources, Sample
from producer.measurement.result import Result
from producer.measurement.trace import Trace


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
        samples: the same over time, from the moment at which the calls began.
        noise: what else this machine did meanwhile; None where some of the processes involved are not known.
    """

    model: str
    round: int
    at_once: int
    startup: float
    trace: Trace
    resources: Resources
    samples: tuple[Sample, ...] = ()
    noise: Noise | None = None


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


@dataclass(frozen=True, kw_only=True)
class Run(Result):
    """What `compare` measured. Its settings: `workers`, `rounds`, `budget`, `timeout`, `seed`, `remote`, ...

    Attributes:
        workload: the name of what ran.
        calls: each call as source text, in order.
        legs: what was measured, in the order in which it was.
        problems: results that are wrong, and calls that failed.
        cluster_startup: seconds until the embedded cluster was ready; None if none was started.
        measuring: seconds that measuring itself costs a worker in each call.
    """

    experiment: ClassVar[str] = "compare"

    workload: str
    calls: tuple[str, ...]
    legs: tuple[Leg, ...] = ()
    problems: tuple[Problem, ...] = ()
    cluster_startup: float | None = None
    measuring: float | None = None
