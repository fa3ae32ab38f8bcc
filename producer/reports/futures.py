"""The life of futures: as it goes, line by line; as a table; and what it says in sentences."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.experiments.futures import (
    CALLBACK,
    COMPLETED,
    DONE,
    LIFE,
    LIMIT,
    MAIN_THREAD,
    NOT_DONE,
    SUBMITTED,
    TIMEOUT,
    Cancel,
    Event,
    GivenUp,
    Lives,
)
from producer.models import MODELS
from producer.reports.report import Report
from producer.reports.terminal import fitted
from producer.reports.words import NONE, counted, listed, seconds

_LEGEND = (
    "done: futures that were done when the first wait returned, of all. went on: those that were not, but "
    "ended later. running, waiting: calls for which cancel() returned True, of those that had begun, and of "
    "those that had not. timeout: what became of a call when wait had given up on it. time limit: what "
    "became of one that ran longer than the broker queue's limit on it. states: those that "
    "futures were seen in."
)
_METHOD = (
    "The calls were submitted as any program does it. Nobody is told when a future becomes RUNNING: it "
    "was looked at every 10 ms. Whether a call went on, or was stopped, is not taken from its future but "
    "from the call itself: those that were cancelled or given up left signs of life in a file, twenty a "
    "second, and one at their end."
)
_STYLES = {"PENDING": "dim", "RUNNING": "cyan", "FINISHED": "green", "CANCELLED": "yellow"}
_STATES = tuple(_STYLES)


class Story:
    """Prints what happens when it happens, on a terminal and elsewhere alike."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._width = 18  # of the longest call so far

    def doing(self, what: str) -> None:
        """Say what goes on."""
        self._say(Text(what, style="dim"))

    def begins(self, model: str, number: int, of: int, left: float | None) -> None:
        """Say which model is next."""
        about = f", about {seconds(left)} left" if left is not None else ""
        place = f" ({number} of {of}{about})" if of > 1 else ""
        self._say(Text(f"\n{model}: {MODELS[model].summary}{place}", style="bold"))

    def act(self, title: str) -> None:
        """Say what is tried next."""
        self._say(Text(f"\n{title}", style="italic"))

    def happened(self, event: Event) -> None:
        """Print a line."""
        self._width = max(self._width, len(event.call))
        self._say(line(event, self._width))

    def _say(self, text: Text) -> None:
        with self._lock:
            self._console.print(text, soft_wrap=True)


def line(event: Event, width: int) -> Text:
    """Return an event as a line: when, which future, what, its state, and what else there is to know.

    Args:
        event: what happened.
        width: characters of the column in which the call stands.
    """
    text = Text.assemble(
        (f"{event.time:8.3f} s  ", "dim"),
        f"{event.number:>3} {event.call:<{width}}  {event.event:<17}  ",
        (f"{event.state:<9}", _STYLES.get(event.state, "")),
        f"  {event.detail}",
    )
    text.rstrip()
    return text


def report(lives: Lives) -> Report:
    """Return what there is to say of futures' lives."""
    return Report(
        result=lives,
        title=f"futures: calls of {lives.workload}, wait(timeout={lives.timeout:g}), "
        f"{counted(lives.settings['workers'], 'worker')}",
        tables=lambda console: fitted(lambda columns: _table(lives, columns), _COLUMNS, console),
        legend=_LEGEND,
        findings=findings(lives),
        problems=lives.problems,
        method=_METHOD,
    )


def _shown(lives: Lives) -> list[str]:
    return [model for model in lives.models if any(event.model == model for event in lives.events)]


def _of(lives: Lives, model: str, event: str) -> list[Event]:
    return [one for one in lives.events if (one.model, one.act, one.event) == (model, LIFE, event)]


def _went_on(lives: Lives, model: str) -> list[tuple[Event, Event]]:
    """Return the futures that were not done when `wait` returned, each with its end, which came later."""
    ends = {one.number: one for one in _of(lives, model, COMPLETED) if one.state == "FINISHED"}
    return [(one, ends[one.number]) for one in _of(lives, model, NOT_DONE) if one.number in ends]


def _cancels(lives: Lives, model: str, *, begun: bool) -> list[Cancel]:
    return [one for one in lives.cancels if (one.model, one.begun) == (model, begun)]


def _given_up(lives: Lives, model: str, act: str) -> GivenUp | None:
    return next((one for one in lives.given_up if (one.model, one.act) == (model, act)), None)


def states(lives: Lives, model: str) -> list[str]:
    """Return the states in which a model's futures were seen, in the order of a future's life."""
    seen = {event.state for event in lives.events if event.model == model}
    return [state for state in _STATES if state in seen]


def _done(lives: Lives, model: str) -> str:
    done, not_done = len(_of(lives, model, DONE)), len(_of(lives, model, NOT_DONE))
    return f"{done} of {done + not_done}" if done + not_done else NONE


def _share(cancels: list[Cancel]) -> str:
    return f"{sum(one.cancelled for one in cancels)} of {len(cancels)}" if cancels else NONE


def _outlived(one: GivenUp) -> bool:
    """Tell whether a call went on after it was given up: there were signs of that, or its result came."""
    return one.later > 0 or (one.ended and one.state != "FINISHED")


def _fate(one: GivenUp | None) -> str:
    if one is None:
        return NONE
    if _outlived(one):
        return "went on"
    if one.ended:
        return "had ended"
    return "stopped" if one.before else "not seen"


_COLUMNS: Sequence[tuple[str, Callable[[Lives, str], str]]] = (
    ("done", _done),
    ("went on", lambda lives, model: str(len(_went_on(lives, model)))),
    ("running", lambda lives, model: _share(_cancels(lives, model, begun=True))),
    ("waiting", lambda lives, model: _share(_cancels(lives, model, begun=False))),
    ("timeout", lambda lives, model: _fate(_given_up(lives, model, TIMEOUT))),
    ("time limit", lambda lives, model: _fate(_given_up(lives, model, LIMIT))),
    ("states", lambda lives, model: " ".join(states(lives, model))),
)


def _table(lives: Lives, columns: Sequence[tuple[str, Callable[[Lives, str], str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    for name, _ in columns:
        table.add_column(name, no_wrap=True)
    for model in _shown(lives):
        table.add_row(model, *(of(lives, model) for _, of in columns))
    return table


def findings(lives: Lives) -> list[str]:
    """Return what futures' lives say: of the timeout, of cancelling, and of what fails."""
    models = _shown(lives)
    return [
        *(sentence for model in models for sentence in _waited(lives, model)),
        *stopping(lives),
        *(sentence for model in models for sentence in _cancelling(lives, model)),
        *_failures(lives, models),
        *_unmarked(lives, models),
    ]


def _waited(lives: Lives, model: str) -> list[str]:
    submitted, done, not_done = (_of(lives, model, what) for what in (SUBMITTED, DONE, NOT_DONE))
    if not done and not not_done:
        return []
    after = (done or not_done)[0].time - submitted[-1].time
    total = len(done) + len(not_done)
    if not not_done:
        early = f"{seconds(after)} after the last submit, before its timeout of {lives.timeout:g} s"
        return [f"{model}: wait returned with all {total} futures done, {early}."]
    named = [one.call for one in not_done]
    calls = listed(named if len(named) < 4 else [*named[:2], f"{len(named) - 2} more"])
    went_on = _went_on(lives, model)
    more = ""
    if went_on:
        last = seconds(max(end.time - one.time for one, end in went_on))
        more = (
            f" It went on for {last}."
            if len(not_done) == 1
            else (f" {len(went_on)} of these went on, the last of them for {last}.")
        )
    return [
        f"{model}: wait gave up after {seconds(after)} with {len(done)} of {total} futures done; not done: "
        f"{calls}.{more}"
    ]


def stopping(lives: Lives) -> list[str]:
    """Return what timeouts and time limits stopped, and what they did not."""
    models = _shown(lives)
    return [*_timeouts(lives, models), *_limits(lives, models)]


def _timeouts(lives: Lives, models: list[str]) -> list[str]:
    looked = [(model, one) for model in models if (one := _given_up(lives, model, TIMEOUT)) is not None]
    words = [
        f"{model} ({f'{one.later} signs of life after that' if one.later else 'its result came later'})"
        for model, one in looked
        if one.ended and _outlived(one)
    ]
    sentences = []
    if words:
        sentences.append(
            "A timeout of wait and of result stops nothing: the call went on, to its end, on "
            f"{listed(words)}."
        )
    sentences += [
        f"{model}: there was nothing to wait for: submit returned {seconds(one.after)} later, with the call "
        "at its end."
        for model, one in looked
        if one.state == "FINISHED" and one.ended and not one.later
    ]
    return sentences + [
        f"{model}: whether the call went on after wait had given up can't be seen from here."
        for model, one in looked
        if not one.before and not one.later and not one.ended
    ]


def _limits(lives: Lives, models: list[str]) -> list[str]:
    sentences = []
    for model in models:
        one = _given_up(lives, model, LIMIT)
        if one is None or one.error is None or not one.error.startswith("TimeoutError"):
            continue
        if one.before and not one.later and not one.ended:
            sentences.append(
                f"{model}: the time limit stopped the same call after {seconds(one.after)}: no sign of life "
                f"after that, and no end ({one.error})."
            )
        elif not one.before and not one.ended:
            sentences.append(
                f"{model}: the time limit ended the future after {seconds(one.after)} ({one.error}); the "
                "call itself can't be seen from here."
            )
    local = [model for model in models if not MODELS[model].on_cluster]
    if sentences and local:
        sentences.append(f"No other model here has such a limit ({listed(local)}).")
    return sentences


def _cancelling(lives: Lives, model: str) -> list[str]:
    running, waiting = _cancels(lives, model, begun=True), _cancels(lives, model, begun=False)
    words = []
    if waiting:
        yes = [one for one in waiting if one.cancelled]
        ran = sum(bool(one.ended) for one in yes)
        what = f"True for {len(yes)} of {counted(len(waiting), 'call')} that had not begun"
        if yes and all(one.ended is not None for one in yes):
            what += f", {ran or 'none'} of which ran"
        early = sum(one.state == "RUNNING" and not one.cancelled for one in waiting)
        if early:
            what += f"; {counted(early, 'future')} said RUNNING already, for a call still in the pool's pipe"
        words.append(what)
    if running:
        yes = [one for one in running if one.cancelled]
        what = f"True for {len(yes)} of {len(running)} that had begun"
        cut = sum(one.ended is False for one in yes)
        if cut:
            what += f", {cut} of which came to no end: they were cut short"
        words.append(what)
    return [f"{model}: cancel() returned {', and '.join(words)}."] if words else []


def _failures(lives: Lives, models: list[str]) -> list[str]:
    failed, broken = [], []
    on_main, on_others = [], []
    for model in models:
        ended = _of(lives, model, COMPLETED)
        bad = [one for one in ended if ", exception() " in one.detail]
        if bad and len(bad) < len(ended):
            failed.append(f"{len(bad)} of {len(ended)} on {model}")
        if any("BrokenProcessPool" in one.detail for one in bad):
            broken.append(model)
        threads = {one.detail for one in _of(lives, model, CALLBACK)}
        if threads - {MAIN_THREAD}:
            on_others.append(model)
        elif threads:
            on_main.append(model)
    sentences = []
    if broken:
        sentences.append(
            f"A call ended its process, and with it the pool, and every call in it ({listed(broken)})."
        )
    if failed:
        sentences.append(
            f"A call that fails spoils its own future and no other: {listed(failed)}. A future that failed "
            "is done; its exception waits in it until somebody asks."
        )
    if on_others:
        sentences.append(
            f"Callbacks ran on the executor's own threads ({listed(on_others)}), and in add_done_callback "
            "itself where the call had ended by then: one that takes long holds up others."
        )
    if on_main:
        sentences.append(
            f"Callbacks ran in add_done_callback: every call had ended by then ({listed(on_main)})."
        )
    return sentences


def _unmarked(lives: Lives, models: list[str]) -> list[str]:
    """Say where futures never were RUNNING although their calls did run."""
    unmarked = [model for model in models if "RUNNING" not in states(lives, model)]
    return [
        f"{model}: no future was ever RUNNING; "
        + (
            "asyncio marks it only when its coroutine ends."
            if MODELS[model].asynchronous
            else "submit ran each call, and returned a future that was FINISHED."
        )
        for model in unmarked
        if MODELS[model].asynchronous or MODELS[model].width == "one"
    ]
