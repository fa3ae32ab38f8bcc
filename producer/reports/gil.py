"""What the GIL costs, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from producer.experiments.gil import CALLS, FEWEST_ROUNDS, MOST_ROUNDS, PYTHON, C, Gil
from producer.measurement.summary import SEQUENTIAL, Interval
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, confidence, counted, digits, interval, seconds

_LEGEND = (
    "Python: calls in pure Python. C: calls of the same length in C, which release the GIL. Medians over the "
    "rounds; speedup: against sequential, in the same round"
)
_COST_LEGEND = "; GIL cost: the one speedup ÷ the other"
_METHOD = (
    "At the start the lengths of both kinds of call are adjusted to this machine. In each round each "
    f"model runs {CALLS} calls for each worker of the one kind and of the other, all submitted at once; "
    f"every second round goes through models and kinds in the reverse order. There are {FEWEST_ROUNDS} "
    f"rounds at least, {MOST_ROUNDS} at most, and as many as fit into the time between. Ratios are taken "
    "within a round, and averaged as logarithms, with Student's t interval."
)
#: The models whose calls share the GIL of one interpreter.
_THREADS = ("thread-pool", "thread-per-request")


def report(result: Gil) -> Report:
    """Return what there is to say of the GIL."""
    rounds = max((leg.round for leg in result.legs), default=0)
    return Report(
        result=result,
        title=(
            f"gil: {counted(result.calls, 'call')} of {seconds(result.call)}, "
            f"{counted(result.settings['workers'], 'worker')}, {counted(rounds, 'round')}"
        ),
        tables=lambda console: _tables(result, console) if result.legs else [],
        legend=_legend(result),
        findings=findings(result),
        method=_METHOD,
    )


def _legend(result: Gil) -> str:
    if not result.legs:
        return ""
    return f"{_LEGEND}{_COST_LEGEND if result.environment.gil else ''}."


def _tables(result: Gil, console: Console) -> list[Table]:
    columns = (*_COLUMNS, ("GIL cost", _cost)) if result.environment.gil else _COLUMNS
    return fitted(lambda some: _table(result, some), columns, console)


def _makespan(work: str) -> Callable[[Gil, str], str]:
    def cell(result: Gil, model: str) -> str:
        makespans = result.makespans(work, model).values()
        return seconds(median(makespans)) if makespans else NONE

    return cell


def _speedup(work: str) -> Callable[[Gil, str], str]:
    return lambda result, model: _value(result.speedup(work, model))


def _bounds(work: str) -> Callable[[Gil, str], str]:
    def cell(result: Gil, model: str) -> str:
        # Sequential against itself is 1, and no interval.
        found = None if model == SEQUENTIAL else result.speedup(work, model)
        return NONE if found is None else interval(found)

    return cell


def _cost(result: Gil, model: str) -> str:
    return NONE if model == SEQUENTIAL else _value(result.cost(model))


def _value(of: Interval | None) -> str:
    return NONE if of is None else digits(of.value)


_COLUMNS: Sequence[tuple[str, Callable[[Gil, str], str]]] = (
    ("Python", _makespan(PYTHON)),
    ("speedup", _speedup(PYTHON)),
    ("95 % interval", _bounds(PYTHON)),
    ("C", _makespan(C)),
    ("speedup", _speedup(C)),
    ("95 % interval", _bounds(C)),
)


def _table(result: Gil, columns: Sequence[tuple[str, Callable[[Gil, str], str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for model in result.models:
        if model not in result.unavailable:
            table.add_row(model, *(cell(result, model) for _, cell in columns))
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
    for model in result.models:
        if model in _THREADS:
            sentences += _cost_of(result, model) if environment.gil else _gain_of(result, model)
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
    if cost.excludes(1.0) and cost.value > 1.0:
        return [
            f"What the GIL cost: pure Python took {digits(cost.value)} times as long on {model} as it would "
            f"without ({confidence(cost)}). {beside}"
        ]
    return [
        f"What the GIL cost is within noise: pure Python took {digits(cost.value)} times as long on {model} "
        f"as it would without{_known(cost)}. {beside}{_why(result, c)}"
    ]


def _why(result: Gil, c: Interval) -> str:
    """Say what kept threads from gaining, GIL or not."""
    if c.excludes(1.0) and c.value > 1.0:
        return ""
    if result.environment.cores_in_reach == 1 or result.settings["workers"] == 1:
        return " With one core or one worker there is nothing to gain, GIL or not."
    return " So there were no cores to spare for either, and this tells nothing of the GIL."


def _gain_of(result: Gil, model: str) -> list[str]:
    python, c = result.speedup(PYTHON, model), result.speedup(C, model)
    if python is None or c is None:
        return []
    workers = counted(result.settings["workers"], "worker")
    if python.excludes(1.0) and python.value > 1.0:
        return [
            f"This Python has no GIL, and threads gain: on {model}, {workers} ran pure Python "
            f"{digits(python.value)} times as fast as sequential{_known(python)}, and calls in C "
            f"{digits(c.value)} times."
        ]
    return [
        f"This Python has no GIL, but {model} gained nothing that is more than noise: {workers} ran pure "
        f"Python {digits(python.value)} times as fast as sequential{_known(python)}, and calls in C "
        f"{digits(c.value)} times.{_why(result, c)}"
    ]


def _processes(result: Gil) -> list[str]:
    """Say that processes share no GIL, where that shows."""
    found = result.speedup(PYTHON, "process-pool")
    if found is None or not found.excludes(1.0) or found.value <= 1.0 or not result.environment.gil:
        return []
    return [
        f"Processes share no GIL: process-pool ran pure Python {digits(found.value)} times as fast as "
        f"sequential ({confidence(found)})."
    ]


def _known(of: Interval) -> str:
    return f" ({confidence(of)})" if of.known else ""
