"""A break-even sweep as a table for a terminal, and what it says in sentences."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.experiments.break_even import KINDS, Sweep
from producer.measurement.crossing import Crossing
from producer.measurement.summary import SEQUENTIAL
from producer.reports.terminal import bullet, fitted
from producer.reports.words import NONE, digits, listed, seconds


def report(sweep: Sweep, console: Console) -> None:
    """Print everything that a person wants to know of a sweep."""
    where = sweep.environment
    console.print()
    console.print(
        Text(
            f"break-even: {KINDS.get(sweep.kind, sweep.kind)}, {sweep.workers} workers\n"
            f"{where.python}, {where.cores_in_reach} cores, {where.system}, "
            f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(sweep.began))}",
            style="bold",
        )
    )
    for table in fitted(lambda sizes: _table(sweep, sizes), sweep.sizes, console):
        console.print(table)
    for model, why in sweep.unavailable.items():
        console.print(Text(f"{model}: {why}", style="dim"))
    console.print(Text("calls/s, median over the rounds; the fastest at each size stands out", style="dim"))
    console.print()
    for sentence in findings(sweep):
        console.print(bullet(Text(sentence)))


def _table(sweep: Sweep, sizes: Sequence[float]) -> Table:
    models = [model for model in sweep.models if model not in sweep.unavailable]
    best = {
        size: max((rate for model in models if (rate := sweep.rate(model, size)) is not None), default=None)
        for size in sizes
    }
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("a call takes", no_wrap=True)
    for size in sizes:
        table.add_column(seconds(size), justify="right", no_wrap=True)
    for model in models:
        cells = []
        for size in sizes:
            rate = sweep.rate(model, size)
            style = "bold green" if rate is not None and rate == best[size] else ""
            cells.append(Text(NONE if rate is None else digits(rate), style=style))
        table.add_row(model, *cells)
    return table


def findings(sweep: Sweep) -> list[str]:
    """Return what a sweep says: from which size on each model pays, against sequential and the others."""
    models = [model for model in sweep.models if model not in sweep.unavailable]
    sentences = []
    if SEQUENTIAL in models:
        words = [
            f"{model} {_from(found)}"
            for model in models
            if model != SEQUENTIAL and (found := sweep.break_even(model, SEQUENTIAL)) is not None
        ]
        if words:
            sentences.append(f"Faster than sequential: {'; '.join(words)}.")
    others = [model for model in models if model != SEQUENTIAL]
    for model in others:
        beats = []
        for other in others:
            found = sweep.break_even(model, other) if other != model else None
            if found is not None and 0.0 < found.size < math.inf:
                beats.append(f"{other} {_from(found)}")
        if beats:
            sentences.append(f"{model} overtakes {listed(beats)}.")
    if sweep.interrupted:
        sentences.append("It was interrupted: this is what there was so far.")
    return sentences


def _from(found: Crossing) -> str:
    doubt = "" if found.sure else " (within noise)"
    if found.size == math.inf:
        return "at no size"
    if found.size == 0.0:
        return f"at every size{doubt}"
    return f"from {seconds(found.size)}{doubt}"
