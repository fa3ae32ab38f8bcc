"""What the GIL costs, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from producer.experiments.gil import FEWEST_ROUNDS, MOST_ROUNDS, PYTHON, C, Gil
from producer.measurement.summary import SEQUENTIAL, Interval, service_times
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, confidence, counted, digits, interval, percent, seconds

_LEGEND = (
    "C: calls of the same length in C, which release the GIL. Medians over the rounds; speedup: against "
    "sequential, in the same round"
)
_COST_LEGEND = "; GIL cost: the speedup in C ÷ the other"
_METHOD = (
    "At the start calls are measured one after another, and for each a call in C is made that takes as long. "
    "In each round each model runs as many calls of the one kind as of the other, all submitted at once; "
    "every second round goes through models and kinds in the reverse order. There are as many rounds as fit "
    f"into the time, {FEWEST_ROUNDS} at least and {MOST_ROUNDS} at most. Ratios are taken within a round, "
    "and averaged as logarithms, with Student's t interval."
)
#: Seconds of a call below which handing it to a thread costs so much that even calls in C may gain nothing.
_SHORT = 5e-4
#: The share of the work above which a call leaves threads nothing to gain beside it.
_ALONE = 0.7
#: The models whose calls share the GIL of one interpreter.
_THREADS = ("thread-pool", "thread-per-request")


def report(result: Gil) -> Report:
    """Return what there is to say of the GIL."""
    rounds = max((leg.round for leg in result.legs), default=0)
    calls = counted(result.calls, "call")
    what = f"{calls} of" if result.work == PYTHON else f"{calls} of {result.work}, median"
    return Report(
        result=result,
        title=(
            f"gil: {what} {seconds(result.call)}, {counted(result.settings['workers'], 'worker')}, "
            f"{counted(rounds, 'round')}"
        ),
        tables=lambda console: _tables(result, console) if result.legs else [],
        legend=_legend(result),
        findings=findings(result),
        problems=result.problems,
        method=_METHOD,
    )


def _legend(result: Gil) -> str:
    if not result.legs:
        return ""
    kinds = "Python: calls in pure Python. " if result.work == PYTHON else ""
    return f"{kinds}{_LEGEND}{_COST_LEGEND if result.environment.gil else ''}."


def _head(result: Gil) -> str:
    return "Python" if result.work == PYTHON else result.work


def _named(result: Gil) -> str:
    return "pure Python" if result.work == PYTHON else result.work


def _tables(result: Gil, console: Console) -> list[Table]:
    mine = result.asked
    columns: list[tuple[str, Callable[[str], str]]] = [
        (_head(result), lambda model: _makespan(result, mine, model)),
        ("speedup", lambda model: _value(result.speedup(mine, model))),
        ("95 % interval", lambda model: _bounds(result, mine, model)),
        ("C", lambda model: _makespan(result, C, model)),
        ("speedup", lambda model: _value(result.speedup(C, model))),
        ("95 % interval", lambda model: _bounds(result, C, model)),
    ]
    if result.environment.gil:
        columns.append(
            ("GIL cost", lambda model: NONE if model == SEQUENTIAL else _value(result.cost(model)))
        )
    return fitted(lambda some: _table(result, some), columns, console)


def _makespan(result: Gil, work: str, model: str) -> str:
    makespans = result.makespans(work, model).values()
    return seconds(median(makespans)) if makespans else NONE


def _bounds(result: Gil, work: str, model: str) -> str:
    # Sequential against itself is 1, and no interval.
    found = None if model == SEQUENTIAL else result.speedup(work, model)
    return NONE if found is None else interval(found)


def _value(of: Interval | None) -> str:
    return NONE if of is None else digits(of.value)


def _table(result: Gil, columns: Sequence[tuple[str, Callable[[str], str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for model in result.models:
        if model not in result.unavailable:
            table.add_row(model, *(cell(model) for _, cell in columns))
    return table


def findings(result: Gil) -> list[str]:
    """Return what the GIL cost, or that there is none and what that gains."""
    environment = result.environment
    sentences = []
    if environment.free_threaded and environment.gil:
        sentences.append(
            "This Python was built to do without a GIL, but the GIL is on: PYTHON_GIL or -X gil says so, or "
            "a module that needs it."
        )
    cost_of = _cost_of if result.work == PYTHON else _cost_of_own
    for model in result.models:
        if model in _THREADS:
            sentences += cost_of(result, model) if environment.gil else _gain_of(result, model)
    return [*sentences, *_processes(result)]


def _cost_of(result: Gil, model: str) -> list[str]:
    cost, python, c = result.cost(model), result.speedup(PYTHON, model), result.speedup(C, model)
    if cost is None or python is None or c is None:
        return []
    workers = counted(result.settings["workers"], "worker")
    beside = (
        f"With {workers} it was {digits(python.value)} times as fast as sequential, and calls of the same "
        f"length that release the GIL {digits(c.value)} times."
    )
    if _above(cost):
        return [
            f"What the GIL cost: pure Python took {digits(cost.value)} times as long on {model} as it would "
            f"without ({confidence(cost)}). {beside}"
        ]
    return [
        f"What the GIL cost is within noise: pure Python took {digits(cost.value)} times as long on {model} "
        f"as it would without{_known(cost)}. {beside}{_why(result, c)}"
    ]


def _cost_of_own(result: Gil, model: str) -> list[str]:
    """Say what the GIL costs other work; nothing can be said where calls that release it gain nothing."""
    cost, mine, c = result.cost(model), result.speedup(result.asked, model), result.speedup(C, model)
    if cost is None or mine is None or c is None:
        return []
    work, workers = result.work, counted(result.settings["workers"], "worker")
    beside = (
        f"With {workers} they were {digits(mine.value)} times as fast as sequential, and calls of the same "
        f"length in C, which release the GIL, {digits(c.value)} times."
    )
    if not _above(c):
        return [f"What the GIL costs calls of {work} on {model} can't be told. {beside}{_why(result, c)}"]
    took = f"took {digits(cost.value)} times as long on {model} as they would without ({confidence(cost)})"
    if _above(cost):
        return [f"What the GIL costs {work}: its calls {took}. {beside} So they hold it, wholly or in part."]
    if cost.excludes(1.0):
        return [
            f"The GIL costs {work} nothing on {model}: its calls gain more from threads than those that "
            f"compute in C ({confidence(cost)} for what they took beside them). {beside} So they wait."
        ]
    return [
        f"The GIL costs {work} nothing that is more than noise: its calls {took}. {beside} So they release "
        "the GIL, or wait."
    ]


def _above(of: Interval) -> bool:
    return of.excludes(1.0) and of.value > 1.0


def _why(result: Gil, c: Interval) -> str:
    """Say what kept threads from gaining, GIL or not."""
    if _above(c):
        return ""
    if result.environment.cores_in_reach == 1 or result.settings["workers"] == 1:
        return " With one core or one worker there is nothing to gain, GIL or not."
    if result.call < _SHORT:
        return f" Calls of {seconds(result.call)} are too short: to hand one to a thread may take longer."
    share = _longest(result)
    if share > _ALONE:
        return (
            f" The longest call is {percent(share)} of the work: to run the others beside it gains next to "
            "nothing, GIL or not."
        )
    return " So there were no cores to spare for either, and this tells nothing of the GIL."


def _longest(result: Gil) -> float:
    """Return which share of the work the longest call is."""
    services = next((service_times(leg.trace) for leg in result.legs if leg.model == SEQUENTIAL), [])
    return max(services) / sum(services) if services else 0.0


def _gain_of(result: Gil, model: str) -> list[str]:
    mine, c = result.speedup(result.asked, model), result.speedup(C, model)
    if mine is None or c is None:
        return []
    ran = f"{counted(result.settings['workers'], 'worker')} ran {_named(result)}"
    both = (
        f"{digits(mine.value)} times as fast as sequential{_known(mine)}, and calls in C "
        f"{digits(c.value)} times."
    )
    if _above(mine):
        return [f"This Python has no GIL, and threads gain: on {model}, {ran} {both}"]
    return [
        f"This Python has no GIL, but {model} gained nothing that is more than noise: {ran} {both}"
        f"{_why(result, c)}"
    ]


def _processes(result: Gil) -> list[str]:
    """Say that processes share no GIL, where that shows, and the work holds one."""
    found = result.speedup(result.asked, "process-pool")
    if found is None or not _above(found) or not result.environment.gil:
        return []
    costs = [cost for model in _THREADS if (cost := result.cost(model)) is not None]
    if result.work != PYTHON and not any(_above(cost) for cost in costs):
        return []
    return [
        f"Processes share no GIL: process-pool ran {_named(result)} {digits(found.value)} times as fast as "
        f"sequential ({confidence(found)})."
    ]


def _known(of: Interval) -> str:
    return f" ({confidence(of)})" if of.known else ""
