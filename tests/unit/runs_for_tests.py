"""Makes traces, legs and runs out of a few figures, for the tests of what is computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from producer.measurement.environment import Environment
from producer.measurement.noise import Noise
from producer.measurement.resources import Resources
from producer.measurement.run import Leg, Run
from producer.measurement.trace import Row, Trace

MEGABYTE = 10**6

ENVIRONMENT = Environment(
    system="Linux 6",
    processor="a processor",
    cores=4,
    cores_in_reach=4,
    memory=8_000 * MEGABYTE,
    python="CPython 3.11.7",
    gil=True,
    load=0.0,
    versions={"celery": "5.7.0"},
)


def one_after_another(*services: float) -> Trace:
    """The trace of calls of which each starts when the one before it has ended."""
    rows = []
    now = 0.0
    for index, service in enumerate(services):
        rows.append(Row(index, 0.0, now, now + service, now + service, "host/1/MainThread"))
        now += service
    return Trace(rows)


def all_at_once(*services: float) -> Trace:
    """The trace of calls that all start when the round begins."""
    return Trace(Row(i, 0.0, 0.0, s, s, f"host/1/thread-{i}") for i, s in enumerate(services))


def leg(
    model: str,
    trace: Iterable[Row],
    *,
    number: int = 1,
    at_once: int = 1,
    startup: float = 0.0,
    cpu: float | None = None,
    memory: int = 50 * MEGABYTE,
    noise: Noise | None = None,
) -> Leg:
    """A leg; without `cpu` its calls computed for as long as they took."""
    trace = trace if isinstance(trace, Trace) else Trace(trace)
    used = sum((row.finished or 0.0) - (row.started or 0.0) for row in trace) if cpu is None else cpu
    return Leg(model, number, at_once, startup, trace, Resources(used, memory, 1, 1), noise=noise)


def rounds(
    model: str, makespans: Sequence[float], *, at_once: int = 1, cpu: float | None = None
) -> list[Leg]:
    """Legs of two equal calls each, with these makespans."""
    return [
        leg(model, one_after_another(m / 2, m / 2), number=i, at_once=at_once, cpu=m if cpu is None else cpu)
        for i, m in enumerate(makespans, 1)
    ]


def run_of(*legs: Leg, **changes: Any) -> Run:
    """A run of these legs, its models in the order in which they come first."""
    run = Run(
        workload="sum",
        calls=tuple(f"sum({i})" for i in range(max((len(leg.trace) for leg in legs), default=0))),
        models=tuple(dict.fromkeys(leg.model for leg in legs)),
        settings={"workers": 4, "rounds": None, "budget": 60.0, "remote": False},
        environment=ENVIRONMENT,
        began=1_700_000_000.0,
        legs=tuple(legs),
    )
    return replace(run, **changes)
