"""A break-even sweep as tables, and what it says in sentences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.experiments.break_even import Sweep
from producer.experiments.kind import words
from producer.measurement.lead import Lead
from producer.measurement.summary import SEQUENTIAL
from producer.models import MODELS
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, confidence, counted, digits, interval, listed, seconds, span

#: A lead within noise is named as possible where it would be at least so large at the largest size.
_WORTH = 1.1
_LEGEND = (
    "Upper table: calls/s, median over the rounds; the fastest at each size stands out. "
    "Lower table: from which size of a call on the model of the row is faster than that of the column "
    "(all: at every size; –: at none; ?: by no more than noise)."
)
_METHOD = (
    "What a call of each size takes was measured first, in the producer, one call after another. "
    "Every model is open from the beginning to the end. In each round, each size is run on each model, in "
    "an order that is shuffled by the seed: as many calls as fit into a fraction of a second, at least "
    "one for each worker. Two models are compared within each round, with Student's t interval over the "
    "rounds' logarithms. The lead changes only between a size at which one is surely faster and a size at "
    "which the other is; in between, a straight line on logarithmic axes is read off."
)


def report(sweep: Sweep) -> Report:
    """Return what there is to say of a sweep."""
    workers = counted(sweep.settings["workers"], "worker")
    return Report(
        result=sweep,
        title=f"break-even: {words(sweep.kind)}, {workers}",
        tables=lambda console: _tables(sweep, console),
        legend=_LEGEND if sweep.points else "",
        findings=findings(sweep),
        problems=sweep.problems,
        method=_METHOD,
    )


def _models(sweep: Sweep) -> list[str]:
    measured = {point.model for point in sweep.points}
    return [model for model in sweep.models if model in measured]


def _tables(sweep: Sweep, console: Console) -> list[Table]:
    models = _models(sweep)
    if not models:
        return []
    rates = fitted(lambda sizes: _rates(sweep, models, sizes), sweep.sizes, console)
    if len(models) < 2:
        return rates
    return [*rates, *fitted(lambda others: _leads(sweep, models, others), models, console)]


def _rates(sweep: Sweep, models: Sequence[str], sizes: Sequence[float]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("a call takes", no_wrap=True)
    for size in sizes:
        table.add_column(seconds(size), justify="right", no_wrap=True)
    best = {size: _fastest(sweep, models, size) for size in sizes}
    for model in models:
        cells = []
        for size in sizes:
            rate = sweep.rate(model, size)
            style = "bold green" if model == best[size] else ""
            cells.append(Text(NONE if rate is None else digits(rate), style=style))
        table.add_row(model, *cells)
    return table


def _leads(sweep: Sweep, models: Sequence[str], others: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("faster than", no_wrap=True)
    for other in others:
        # Names break at their hyphens, so that the table fits.
        table.add_column(other.replace("-", "-\n"), justify="right", no_wrap=True)
    for model in models:
        table.add_row(model, *("" if model == other else _cell(sweep, model, other) for other in others))
    return table


def _cell(sweep: Sweep, model: str, other: str) -> str:
    ranges = []
    for lead in sweep.leads(model, other):
        doubt = "" if lead.sure else "?"
        if lead.start == 0.0:
            ranges.append(f"all{doubt}" if lead.end == math.inf else f"to {seconds(lead.end)}{doubt}")
        elif lead.end == math.inf:
            ranges.append(f"{seconds(lead.start)}{doubt}")
        else:
            ranges.append(f"{seconds(lead.start)} to {seconds(lead.end)}{doubt}")
    return "\n".join(ranges) or NONE


def findings(sweep: Sweep) -> list[str]:
    """Return what a sweep says: the answer in a line, who is the fastest where, and how sure that is."""
    models = _models(sweep)
    if not models:
        return []
    if len(models) == 1:
        return [f"{models[0]} alone was measured: a break-even needs two models."]
    answer = (
        [_answer(sweep, models), _winners(sweep, models)] if len(sweep.sizes) > 1 else [_alone(sweep, models)]
    )
    return [*answer, *_certainty(sweep, models), *_concurrency(models), *_calls(sweep)]


def _base(models: Sequence[str]) -> str:
    """Return the model that the others are compared with."""
    return SEQUENTIAL if SEQUENTIAL in models else models[0]


def _answer(sweep: Sweep, models: Sequence[str]) -> str:
    base = _base(models)
    others = [model for model in models if model != base]
    found = {model: sweep.leads(model, base) for model in others}
    pays = [model for model in others if any(lead.sure for lead in found[model])]
    perhaps = [
        model
        for model in others
        if model not in pays
        and found[model]
        and (of := sweep.ratio(model, base, sweep.sizes[-1])) is not None
        and of.value >= _WORTH
    ]
    never = [model for model in others if model not in pays and model not in perhaps]
    sizes = f"{seconds(sweep.sizes[0])} to {seconds(sweep.sizes[-1])}"
    pays.sort(key=lambda model: min(lead.start for lead in found[model] if lead.sure))
    parts = [
        f"{model} pays {' and '.join(_range(lead) for lead in found[model] if lead.sure)}" for model in pays
    ]
    if not parts:
        parts.append(f"nothing was faster than {base} by more than noise, at any size from {sizes}")
        where = sweep.environment
        if where.cores_in_reach == 1 and sweep.kind in ("cpu", "sum", "digest"):
            parts[0] += ": there is one core to compute on"
            perhaps = []
    if perhaps:
        likely = [f"{model} {_range(found[model][-1])}" for model in perhaps]
        parts.append(f"perhaps, but within noise, {listed(likely)}")
    if never and pays:
        parts.append(f"{listed(never)} {'does' if len(never) == 1 else 'do'} not, from {sizes}")
    against = "" if base == SEQUENTIAL else f" against {base}"
    return f"Break-even{against}: {'; '.join(parts)}."


def _alone(sweep: Sweep, models: Sequence[str]) -> str:
    """Say who is the fastest where there is a single size."""
    (size,) = sweep.sizes
    by_rate = sorted(models, key=lambda model: sweep.rate(model, size) or 0.0, reverse=True)
    ahead = sweep.ratio(by_rate[0], by_rate[1], size)
    told = ""
    if ahead is not None:
        noise = "" if ahead.excludes(1.0) else ", which is within noise"
        told = f", {digits(ahead.value)} times as fast as {by_rate[1]}{noise} ({confidence(ahead)})"
    alike = f"all calls take about {seconds(size)}, and a single size shows none"
    return f"Break-even: {alike}. The fastest: {by_rate[0]}{told}."


def _calls(sweep: Sweep) -> list[str]:
    """Say which calls are of which size, where they were given."""
    if not sweep.calls:
        return []
    told = [f"{seconds(size)} {call}" for size, call in zip(sweep.sizes, sweep.calls, strict=True)]
    return [f"What the calls took, alone: {'; '.join(told)}."]


def _range(lead: Lead) -> str:
    if lead.start == 0.0:
        return "at every size" if lead.end == math.inf else f"for calls of up to {seconds(lead.end)}"
    if lead.end == math.inf:
        return f"from calls of {seconds(lead.start)} on"
    return f"for calls of {span(lead.start, lead.end)}"


def _fastest(sweep: Sweep, models: Sequence[str], size: float) -> str | None:
    rates = {model: rate for model in models if (rate := sweep.rate(model, size)) is not None}
    return max(rates, key=rates.__getitem__) if rates else None


def _winners(sweep: Sweep, models: Sequence[str]) -> str:
    """Say which model is the fastest over which sizes; a successor within noise is said to be such."""
    named = [(size, name) for size in sweep.sizes if (name := _fastest(sweep, models, size)) is not None]
    words_ = [named[0][1]]
    for (_, before), (size, after) in itertools.pairwise(named):
        if before == after:
            continue
        ahead = sweep.ratio(after, before, size)
        doubt = "" if ahead is not None and ahead.excludes(1.0) else " by no more than noise"
        words_.append(f"at {seconds(size)} {after}{doubt}")
    return f"The fastest: {', then '.join(words_)}."


def _certainty(sweep: Sweep, models: Sequence[str]) -> list[str]:
    """Say between which sizes a break-even lies with 95 % confidence."""
    base = _base(models)
    known = [
        f"{model} {span(lead.low, lead.high)}"
        for model in models
        if model != base
        for lead in sweep.leads(model, base)[-1:]
        if lead.sure and lead.start > 0.0 and lead.low > 0.0
    ]
    largest = sweep.sizes[-1]
    gains = [
        f"{model} {digits(of.value)} times ({interval(of)})"
        for model in models
        if model != base
        and (of := sweep.ratio(model, base, largest)) is not None
        and of.known
        and of.excludes(1.0)
        and of.value > 1.0
    ]
    sentences = []
    if known:
        sentences.append(f"Where {base} is overtaken, with 95 % confidence: {'; '.join(known)}.")
    if gains:
        sentences.append(
            f"Against {base}, at {seconds(largest)} a call (95 % confidence): {listed(gains)} as fast."
        )
    return sentences


def _concurrency(models: Sequence[str]) -> list[str]:
    unbounded = [model for model in models if MODELS[model].width == "all"]
    if not unbounded:
        return []
    return [
        f"{listed(unbounded)} {'has' if len(unbounded) == 1 else 'have'} all calls in progress at once; "
        "a pool has one for each of its workers: for waiting, more of those move its break-even "
        "(producer pool-size)."
    ]
