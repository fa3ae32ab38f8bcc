"""Pool sizes as tables, and how many workers to take, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.experiments.kind import KINDS
from producer.experiments.pool_size import FEWEST_ROUNDS, IN_FLIGHT, ROUNDS, PoolSizes
from producer.measurement.knee import Knee
from producer.measurement.summary import ENOUGH_ROUNDS
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, counted, digits, listed, percent, seconds

_LEGEND = (
    f"Closed loop, {IN_FLIGHT} calls under way for each worker. calls/s, and the p99 of the sojourn time "
    "(from when there was room for a call to its delivery): means over the rounds. ●: recommended, highest "
    "throughput³ ÷ p99. ○: the standard library's default on this machine."
)
_METHOD = (
    "In each round each pool is opened anew with each number of workers, in an order that is shuffled by "
    f"the seed, and warmed up. Then it gets calls in a closed loop: {IN_FLIGHT} for each worker are under "
    f"way at any time, and the next is submitted when one is delivered. There are {FEWEST_ROUNDS} to "
    f"{ROUNDS} rounds, as many as fit into the time. Throughput and p99 are averaged as logarithms. The "
    "confidence is how often the same size comes out if the rounds are drawn anew, with replacement "
    "(bootstrap)."
)
#: From which share of the resamples on a recommendation is called certain, and likely.
_HIGH, _FAIR = 0.9, 0.6
#: From how many times the recommended size's throughput on another size's is told.
_MORE = 1.05


def report(result: PoolSizes) -> Report:
    """Return what there is to say of pools of different sizes."""
    rounds = max((point.round for point in result.points), default=0)
    sizes = f"{result.sizes[0]} to {counted(result.sizes[-1], 'worker')}"
    return Report(
        result=result,
        title=f"pool-size: {listed(list(result.works))}, {sizes}, {counted(rounds, 'round')}",
        tables=lambda console: _tables(result, console),
        legend=_LEGEND if result.points else "",
        findings=findings(result),
        problems=result.problems,
        method=_METHOD,
    )


def _models(result: PoolSizes) -> list[str]:
    measured = {point.model for point in result.points}
    return [model for model in result.models if model in measured]


def _tables(result: PoolSizes, console: Console) -> list[Table]:
    models = _models(result)
    if not models:
        return []
    return [
        table
        for work in result.works
        for table in fitted(lambda some, work=work: _table(result, work, some), models, console)  # type: ignore[misc]
    ]


def _table(result: PoolSizes, work: str, models: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(work, justify="right", no_wrap=True)
    knees = {model: result.knee(work, model) for model in models}
    for model in models:
        table.add_column(f"{model}\ncalls/s", justify="right", no_wrap=True)
        table.add_column("p99", justify="right", no_wrap=True, vertical="bottom")
        table.add_column("")
    for size in result.sizes:
        cells = [Text(str(size))]
        for model in models:
            rate, p99, best = (
                result.throughput(work, model, size),
                result.p99(work, model, size),
                knees[model],
            )
            recommended = best is not None and best.size == size
            style = "bold green" if recommended else ""
            mark = ("●" if recommended else "") + ("○" if result.defaults.get(model) == size else "")
            cells += [
                Text(NONE if rate is None else digits(rate), style=style),
                Text(NONE if p99 is None else seconds(p99), style=style),
                Text(mark, style=style),
            ]
        table.add_row(*cells)
    return table


def findings(result: PoolSizes) -> list[str]:
    """Return what the figures say: the sizes to take in a sentence, then each with its reasons."""
    found = [
        (work, model, knee)
        for work in result.works
        for model in _models(result)
        if (knee := result.knee(work, model)) is not None
    ]
    if not found:
        return []
    return [
        _answer(result, found),
        *(_reasons(result, work, model, knee) for work, model, knee in found),
        *_doubt(result, found),
    ]


def _answer(result: PoolSizes, found: Sequence[tuple[str, str, Knee]]) -> str:
    parts = [
        f"{work}: " + ", ".join(f"{m} {k.size}{_beyond(result, k)}" for of, m, k in found if of == work)
        for work in dict.fromkeys(work for work, _, _ in found)
    ]
    return f"Workers to take here: {'; '.join(parts)}."


def _beyond(result: PoolSizes, knee: Knee) -> str:
    return " or more" if knee.size == result.sizes[-1] and len(result.sizes) > 1 else ""


def _reasons(result: PoolSizes, work: str, model: str, knee: Knee) -> str:
    rate, p99 = result.throughput(work, model, knee.size), result.p99(work, model, knee.size)
    assert rate is not None  # noqa: S101 - for the type checker: the knee was read off it
    assert p99 is not None  # noqa: S101
    sentences = [
        f"{_named(work)} on {model}: {counted(knee.size, 'worker')}, with {digits(rate)} calls/s and a p99 "
        f"of {seconds(p99)}; {_confidence(knee)}."
    ]
    if _beyond(result, knee):
        sentences.append(
            f"That is the largest size measured: the knee may lie beyond (--sizes ...,{2 * knee.size})."
        )
    rates = {size: its for size in result.sizes if (its := result.throughput(work, model, size)) is not None}
    most = max(rates, key=rates.__getitem__)
    if rates[most] > _MORE * rate:
        late = result.p99(work, model, most) or p99
        sentences.append(
            f"The most throughput had {most}: {digits(rates[most] / rate)} times, at {digits(late / p99)} "
            "times the p99."
        )
    default = result.defaults.get(model)
    if default == knee.size:
        sentences.append("The standard library's default is the same.")
    elif default is not None and default in rates:
        late = result.p99(work, model, default) or p99
        sentences.append(
            f"The standard library's default, {default}, has {digits(rates[default] / rate)} times the "
            f"throughput and {digits(late / p99)} times the p99."
        )
    elif default is not None:
        sentences.append(f"The standard library's default, {default}, was not measured.")
    return " ".join(sentences)


def _named(work: str) -> str:
    return f"{work} ({KINDS[work]})" if work in KINDS else work


def _confidence(knee: Knee) -> str:
    if knee.confidence is None:
        return "a single round tells nothing about its confidence"
    # Resamples of few rounds agree with each other sooner than rounds do.
    high = knee.confidence >= _HIGH and knee.rounds >= ENOUGH_ROUNDS
    word = "high" if high else "fair" if knee.confidence >= _FAIR else "low"
    others = [f"{size} in {percent(share)}" for size, share in knee.others if share >= 0.05]
    but = f", {listed(others)}" if others else ""
    return f"confidence {word}: so in {percent(knee.confidence)} of all resamples of the rounds{but}"


def _doubt(result: PoolSizes, found: Sequence[tuple[str, str, Knee]]) -> list[str]:
    sentences = []
    few = min(point.calls for point in result.points)
    if few < 100:
        sentences.append(
            f"Some pools had {counted(few, 'call')} in a round: a p99 of fewer than 100 is close to the "
            "longest of them."
        )
    if any(knee.confidence is not None and knee.confidence < _FAIR for _, _, knee in found):
        sentences.append(
            "Where confidence is low, sizes beside each other do the same within noise: take the smaller."
        )
    where = result.environment
    if where.cores_in_reach < where.cores and "process-pool" in result.defaults:
        sentences.append(
            f"Of the machine's {where.cores} cores {where.cores_in_reach} are in reach here: the standard "
            "library goes by the former before Python 3.13, and never by a CPU quota."
        )
    return sentences
