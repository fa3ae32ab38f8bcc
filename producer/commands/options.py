"""What several commands share: their options, and what becomes of a result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from producer.experiments.job import InputError, nearest
from producer.models import MODELS

if TYPE_CHECKING:
    from rich.console import Console

    from producer.measurement.result import Result
    from producer.reports.change import Changes


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # generic for type checkers only, before click 8.4

INTERRUPTED = 130


class Group(click.Group):
    """A group of commands that knows which one was meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            commands = self.list_commands(ctx)
            hint = nearest(name, commands) or f"there are {', '.join(commands)}"
            raise click.UsageError(f"there is no command {name!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)


class ModelName(ParamType):
    """The name of a model, or of another thing of which there are `names`."""

    name = "model"

    def __init__(self, names: Collection[str] = MODELS) -> None:
        self._names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take a name that is one."""
        if value not in self._names:
            hint = nearest(value, self._names) or f"there are {', '.join(self._names)}"
            self.fail(f"there is no model {value!r}: {hint}", param, ctx)
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[click.shell_completion.CompletionItem]:
        """Offer names."""
        return items(self._names, incomplete)


class ModelNames(ModelName):
    """Names of models, separated by commas."""

    name = "models"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take names that are some, each once."""
        if not isinstance(value, str):
            return value
        names = dict.fromkeys(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail("names no model", param, ctx)
        return tuple(ModelName.convert(self, name, param, ctx) for name in names)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[click.shell_completion.CompletionItem]:
        """Offer names."""
        before, comma, last = incomplete.rpartition(",")
        return [
            click.shell_completion.CompletionItem(f"{before}{comma}{item.value}")
            for item in items(self._names, last)
        ]


def items(names: Iterable[str], incomplete: str) -> list[click.shell_completion.CompletionItem]:
    """Offer the names that begin with what is there so far."""
    return [click.shell_completion.CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_workload(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[click.shell_completion.CompletionItem]:
    """Offer workloads."""
    from worker.workloads import WORKLOADS

    return items(WORKLOADS, incomplete)


WORKERS = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Workers of each pool, and processes of the embedded cluster.  [default: cores in reach]",
)


def models_option(default: str = "all") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--models` of a command which runs on `default` without it."""
    return click.option(
        "--models", type=ModelNames(), help=f"Only these, separated by commas.  [default: {default}]"
    )


MODELS_OPTION = models_option()
SEED = click.option("--seed", type=int, help="For everything that is left to chance.  [default: by chance]")
SECONDS = click.FloatRange(min=0, min_open=True)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a result goes, besides the terminal.

    Attributes:
        json: the file that holds everything measured.
        html: the page with tables and charts.
        charts: the folder for pictures of the charts.
    """

    json: Path | None = None
    html: Path | None = None
    charts: Path | None = None


def saved(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where its result goes, as its argument `destination`."""
    json = click.option(
        "--json", "json_file", callback=_file, metavar="FILE", help="Save everything measured."
    )
    return json(shown(command))


def shown(command: Callable[..., Any]) -> Callable[..., Any]:
    """Like `saved`, for a command whose result is saved already."""

    @wraps(command)
    def with_destination(
        *arguments: Any, html: Path | None, charts: Path | None, json_file: Path | None = None, **others: Any
    ) -> Any:
        return command(*arguments, destination=Destination(json_file, html, charts), **others)

    for option in (
        click.option(
            "--charts", callback=_drawn(_folder), metavar="DIR", help="Draw the charts, as PNG and SVG."
        ),
        click.option(
            "--html", callback=_drawn(_file), metavar="FILE", help="Make a page of tables and charts."
        ),
    ):
        with_destination = option(with_destination)
    return with_destination


# Whether something can be written is found out before minutes of measuring, and not after them.


def _file(_ctx: click.Context, _param: click.Parameter, file: str | None) -> Path | None:
    if file is None:
        return None
    path = Path(file)
    if path.is_dir():
        raise InputError(f"cannot write {file}: it is a directory")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"cannot write {file}: there is no such directory")
    if not os.access(file if path.exists() else folder, os.W_OK):
        raise InputError(f"cannot write {file}: no permission")
    return path


def _folder(_ctx: click.Context, _param: click.Parameter, folder: str | None) -> Path | None:
    if folder is None:
        return None
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise InputError(f"cannot write into {folder}: it is a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"cannot make {folder}: there is no such directory")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InputError(f"cannot write into {folder}: no permission")
    return path


def _drawn(check: Callable[..., Path | None]) -> Callable[..., Path | None]:
    def drawn(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
        if value is not None and find_spec("vl_convert") is None:
            raise InputError(
                f"{param.opts[0]} needs vl-convert-python, which is not installed (it has no wheel for a "
                "free-threaded Python): save the run with --json, and use producer report with another Python"
            )
        return check(ctx, param, value)

    return drawn


def chosen_seed(seed: int | None) -> int:
    """Return the seed that the user gave, or one by chance."""
    import secrets

    return secrets.randbelow(2**32) if seed is None else seed


def finish(result: Result, destination: Destination, before: Result | None = None) -> None:
    """Show a result, save it, and leave with an exit code if it was interrupted, or calls failed.

    Args:
        result: what was measured.
        destination: where it goes.
        before: an earlier result of the same experiment, against which it is said what changed.

    Raises:
        click.ClickException: a file can't be written.
    """
    from dataclasses import replace

    from producer.measurement.environment import gil
    from producer.measurement.result import save
    from producer.reports import change
    from producer.reports.report import report_of
    from producer.reports.terminal import show

    # Only now: what needs the GIL has turned it on when it was imported, the user's own modules among them.
    where = replace(result.environment, gil=gil())
    result = replace(result, environment=where, command=("producer", *sys.argv[1:]))
    out, err = consoles()
    report = report_of(result)
    show(report, out)
    changes = None if before is None else change.changes_of(before, result)
    if changes is not None:
        change.show(changes, out)
    if destination.json is not None:
        with writing(destination.json):
            save(result, destination.json)
    draw([result] if before is None else [before, result], destination, changes)
    if result.interrupted:
        err.print("interrupted: this is what there was so far", style="yellow")
        sys.exit(INTERRUPTED)
    if report.problems:
        sys.exit(1)


def draw(results: Sequence[Result], destination: Destination, changes: Changes | None = None) -> None:
    """Make the page and the pictures of results, where they are wanted; `changes` are told on the page.

    Raises:
        click.ClickException: a file can't be written.
    """
    from producer.measurement.result import write

    if destination.html is not None:
        from producer.reports.html import page

        with writing(destination.html):
            write(destination.html, page(results, changes).encode())
    if destination.charts is not None:
        from producer.reports.charts.files import draw_all

        with writing(destination.charts):
            draw_all(results, destination.charts)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a line that a file can't be written.

    Raises:
        click.ClickException: it can't.
    """
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror or error}") from error


def consoles() -> tuple[Console, Console]:
    """Return what prints to standard output, and to standard error."""
    from producer.reports.visible import Terminal

    return Terminal(), Terminal(stderr=True)
