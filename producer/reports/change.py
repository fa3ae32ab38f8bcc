"""What changed from one result to another, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.experiments.break_even import Sweep
from producer.measurement.change import Change, change, changes, same_calls, wrong
from producer.measurement.environment import Environment
from producer.measurement.result import Result
from producer.measurement.run import Run
from producer.measurement.summary import SEQUENTIAL, SURE, Interval
from producer.reports.terminal import bullet, fitted
from producer.reports.words import NONE, confidence, digits, listed, seconds

#: Settings that change what is measured. Not the seed, nor how many rounds there were.
_SETTINGS = {"compare": ("workers", "remote"), "break-even": ("workers", "quick")}


@dataclass(frozen=True, slots=True)
class Changes:
    """What there is to say of two results of an experiment, the earlier of which is called before.

    Attributes:
        found: what became of each model.
        sentences: what that says, the most important first.
    """

    found: Sequence[Change]
    sentences: Sequence[str]

    def tables(self, console: Console) -> list[Table]:
        """Return the changes as tables, none wider than the console."""
        return fitted(self._table, _COLUMNS, console) if self.found else []

    def _table(self, columns: Sequence[_Column]) -> Table:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("model", no_wrap=True)
        for column in columns:
            table.add_column(column.header, justify="right", overflow="fold")
        for one in self.found:
            name = one.model if one.size is None else f"{one.model}, {seconds(one.size)}"
            table.add_row(name, *(column.cell(one) for column in columns), style=_style(one.ratio))
        return table


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    cell: Callable[[Change], str]


def _sure(one: Change) -> str:
    if one.ratio is None or not one.ratio.known:
        return NONE
    low, high = one.ratio.sure or (one.ratio.low, one.ratio.high)
    return f"{digits(low)} to {digits(high)}"


def _says(ratio: Interval | None) -> str:
    if ratio is None or not ratio.known:
        return NONE
    if not ratio.excludes(1.0):
        return "noise"
    return "slower" if ratio.value > 1 else "faster"


def _style(ratio: Interval | None) -> str:
    return {"slower": "red", "faster": "bold green"}.get(_says(ratio), "")


_COLUMNS = (
    _Column("before", lambda one: seconds(median(one.before)) if one.before else NONE),
    _Column("after", lambda one: seconds(median(one.after)) if one.after else NONE),
    _Column("after / before", lambda one: NONE if one.ratio is None else digits(one.ratio.value)),
    _Column(f"{100 * SURE:.0f} % interval", _sure),
    _Column("which is", lambda one: _says(one.ratio)),
)


def changes_of(before: Result, after: Result) -> Changes | None:
    """Return what changed from one result to another; None if they are of different experiments."""
    if isinstance(before, Run) and isinstance(after, Run):
        return _of_runs(before, after)
    if isinstance(before, Sweep) and isinstance(after, Sweep):
        return _of_sweeps(before, after)
    if before.experiment != after.experiment:
        return None
    return Changes(
        [],
        [
            f"What changed between two results of {before.experiment} is not told: it is of compare and "
            "of break-even alone."
        ],
    )


def show(told: Changes, console: Console) -> None:
    """Print what changed."""
    console.print()
    console.print(Text("What changed", style="bold"))
    for table in told.tables(console):
        console.print(table, end="")
    for sentence in told.sentences:
        console.print(bullet(Text(sentence)))


def _of_runs(before: Run, after: Run) -> Changes:
    if before.workload != after.workload:
        return _of_different(before.workload, after.workload)
    found = changes(before, after)
    differences = list(_differences(before, after))
    if not same_calls(after.workload, before.calls, after.calls):
        differences.insert(0, f"other calls ({len(before.calls):,} before, {len(after.calls):,} after)")
    for model in (one.model for one in found if one.ratio is not None):
        widths = [{leg.at_once for leg in run.legs if leg.model == model} for run in (before, after)]
        if widths[0] != widths[1]:
            one, other = (" or ".join(map(str, sorted(width))) for width in widths)
            differences.append(f"calls of {model} in progress at once: {one} before, {other} after")
    sentences = [_of_model(one) for one in found if one.ratio is not None]
    return Changes(
        found,
        [
            *_unlike(differences),
            *_stopped(before, after),
            *sentences,
            *_sequential(found),
            *_in_one_only(before, after, found),
        ]
        or ["Neither run measured anything."],
    )


def _of_sweeps(before: Sweep, after: Sweep) -> Changes:
    if before.kind != after.kind:
        return _of_different(before.kind, after.kind)
    # What calls of a size really took differs from one run to the next; what they are called does not.
    named = {**before.named, **after.named}
    # The rate's reciprocal: what a call took, so that more is slower, as it is of a makespan.
    found = [
        change(model, _taken(before, model, name), _taken(after, model, name), size)
        for model in dict.fromkeys((*after.models, *before.models))
        for name, size in sorted(named.items(), key=lambda one: one[1])
    ]
    both = [one for one in found if one.ratio is not None]
    sentences = []
    for model in dict.fromkeys(one.model for one in both):
        mine = [one for one in both if one.model == model]
        differ = [one for one in mine if one.ratio is not None and one.ratio.excludes(1.0)]
        sentences += [_of_model(one) for one in differ]
        if len(differ) < len(mine):
            others = "any size" if not differ else "any other size"
            sentences.append(f"{model}: no difference beyond noise at {others}.")
    return Changes(
        both,
        [
            *_unlike(list(_differences(before, after))),
            *_stopped(before, after),
            *sentences,
            *_in_one_only(before, after, found),
            *([] if both else ["No model was measured with calls of the same size before and after."]),
        ],
    )


def _taken(sweep: Sweep, model: str, name: float | str) -> list[float]:
    size = sweep.named.get(name)
    return [] if size is None else [1 / rate for rate in sweep.rates(model, size).values()]


def _of_different(before: str, after: str) -> Changes:
    return Changes([], [f"Nothing can be said to have changed: {before} and {after} are different work."])


def _of_model(one: Change) -> str:
    """Say what became of a model that was measured before and after."""
    ratio = one.ratio
    assert ratio is not None  # noqa: S101 - the caller's promise
    name = one.model if one.size is None else f"{one.model}, calls of {seconds(one.size)}"
    times = f"{digits(ratio.value)} times as long as before"
    if not ratio.known:
        return f"{name}: {times}; one round does not tell whether that is more than noise."
    if ratio.excludes(1.0):
        return f"{name}: {times} ({confidence(ratio)}), more than noise."
    return f"{name}: no difference beyond noise ({times}, {confidence(ratio)})."


def _sequential(found: Sequence[Change]) -> list[str]:
    """Say where not only the models changed, but the calls themselves, or the machine."""
    ratios = {one.model: one.ratio for one in found if one.ratio is not None}
    mine = ratios.pop(SEQUENTIAL, None)
    if mine is None or not ratios or not mine.excludes(1.0):
        return []
    return [
        "sequential changed as well, to which no model adds anything: the calls themselves, or the machine, "
        f"are {'slower' if mine.value > 1 else 'faster'} than before."
    ]


def _in_one_only(before: Result, after: Result, found: Sequence[Change]) -> Iterator[str]:
    """Say which models can't be compared, and why."""
    compared = {one.model for one in found if one.ratio is not None}
    for model in dict.fromkeys((*after.models, *before.models)):
        if model in compared:
            continue
        why = [
            f"{reason} {when}"
            for when, run in (("before", before), ("after", after))
            if (reason := _missing(run, model)) is not None
        ]
        if why and not (model in before.unavailable and model in after.unavailable):
            yield f"{model} is not compared: {'; '.join(why)}."


def _missing(result: Result, model: str) -> str | None:
    """Return why a model has no figures."""
    if isinstance(result, Run) and model in wrong(result):
        return "results were wrong, or calls failed,"
    if model in result.unavailable:
        return f"left out ({result.unavailable[model]})"
    parts: Sequence[Any] = result.legs if isinstance(result, Run) else getattr(result, "points", ())
    return None if any(part.model == model for part in parts) else "not measured"


def _stopped(before: Result, after: Result) -> list[str]:
    stopped = [when for when, run in (("before", before), ("after", after)) if run.interrupted]
    return [f"The run {listed(stopped)} was interrupted: it has fewer rounds."] if stopped else []


def _unlike(differences: Sequence[str]) -> list[str]:
    if not differences:
        return []
    return [f"Not like for like: {'; '.join(differences)}. What changed may come from that."]


def _differences(before: Result, after: Result) -> Iterator[str]:
    """Yield what else differs between two results than the time at which they were taken."""
    for what, of in _PLACE.items():
        one, other = of(before.environment), of(after.environment)
        if one != other:
            yield f"{what} {one} before, {other} after"
    mine, its = before.environment.versions, after.environment.versions
    for name in dict.fromkeys((*mine, *its)):
        one, other = mine.get(name, "none"), its.get(name, "none")
        if one != other:
            yield f"{name} {one} before, {other} after"
    for name in _SETTINGS[before.experiment]:
        one, other = before.settings.get(name), after.settings.get(name)
        if one != other:
            yield f"{name} {one} before, {other} after"


_PLACE: dict[str, Callable[[Environment], Any]] = {
    "system": lambda where: where.system,
    "processor": lambda where: where.processor,
    "cores": lambda where: where.cores,
    "cores in reach": lambda where: where.cores_in_reach,
    "Python": lambda where: f"{where.python}, {'with' if where.gil else 'without'} a global lock (GIL),",
}
