"""`producer report`."""

from __future__ import annotations

from pathlib import Path

import click

from producer.commands.options import Destination, consoles, draw, shown
from producer.experiments.job import InputError


@click.command("report")
@click.argument("files", metavar="RUN.json...", nargs=-1, required=True)
@shown
def report_command(files: tuple[str, ...], destination: Destination) -> None:
    """Show saved runs again, on the terminal, on a page, or as pictures.

    RUN.json is what --json saved, of any experiment. A page needs nothing else, and asks for nothing: it can
    be opened from disk, sent, and printed.

    Of two runs of the same work by compare or break-even, the earlier one first, it is also said what
    changed, and whether that is more than noise: the ratio of what each model's rounds took, after / before,
    with its 99 % confidence interval (Welch's, on logarithms).

    \b
    Examples:
      producer report run.json                               on the terminal
      producer report run.json --html report.html            a page of tables and charts
      producer report compare.json sweep.json --html all.html
      producer report run.json --charts pictures             each chart, as PNG and SVG
      producer report before.json after.json                 both, and what changed
    """  # noqa: D301 - click wants the backspace
    from producer.reports import change
    from producer.reports.report import load_any, report_of
    from producer.reports.terminal import show

    results = []
    for file in files:
        try:
            results.append(load_any(Path(file)))
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror or error}") from error
        except ValueError as error:
            raise InputError(str(error)) from error
    changes = change.changes_of(*results) if len(results) == 2 else None
    out, _ = consoles()
    if destination == Destination():
        for result in results:
            show(report_of(result), out)
        if changes is not None:
            change.show(changes, out)
    draw(results, destination, changes)
