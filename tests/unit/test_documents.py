"""What the documents quote is there: the runs, the pages they link to, the examples and what they print."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from producer.reports.report import charts_of, load_any, report_of
from producer.reports.terminal import show

ROOT = Path(__file__).parents[2]
RUNS = sorted((ROOT / "docs" / "runs").glob("*.json"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LESSONS = (ROOT / "docs" / "lessons.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.stem)
def test_a_saved_run_can_be_read_and_shown(run: Path) -> None:
    result = load_any(run)
    assert result.command[0] == "producer"
    show(report_of(result), Console(file=io.StringIO(), width=110))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_link_to_a_file_of_the_project_leads_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def told(run: str) -> list[str]:
    """What `producer report` prints of a saved run, line by line; but where and when it ran."""
    printed = io.StringIO()
    show(report_of(load_any(ROOT / "docs" / "runs" / f"{run}.json")), Console(file=printed, width=110))
    title, _, *lines = [line.rstrip() for line in printed.getvalue().strip().splitlines()]
    return [title, *lines]


def test_the_readme_shows_what_make_compare_printed_in_the_saved_run() -> None:
    quoted = README[README.index("sum: 4 calls") :].partition("\n```")[0]
    title, _, *lines = quoted.splitlines()
    assert [title, *lines] == told("compare")


def test_the_readme_quotes_the_break_even_of_the_saved_run() -> None:
    sentence = re.search(r"```\n(• Break-even: .*?)\n```", README, flags=re.DOTALL)
    assert sentence is not None
    assert sentence[1] in "\n".join(told("break-even"))


@pytest.mark.parametrize(
    ("picture", "run"),
    [
        ("compare-timeline", "compare"),
        ("break-even-throughput", "break-even"),
        ("overload-rates", "overload"),
    ],
)
def test_the_readme_s_pictures_are_of_the_saved_runs(picture: str, run: str) -> None:
    svg = pytest.importorskip("producer.reports.charts.files", exc_type=ModuleNotFoundError).svg
    drawn = (ROOT / "docs" / "pictures" / f"{picture}.svg").read_text(encoding="utf-8")
    result = load_any(ROOT / "docs" / "runs" / f"{run}.json")
    (chart,) = (one for one in charts_of(result) if f"{run}-{one.name}" == picture)
    # Not byte for byte: where text is placed depends on the fonts that are there.
    words = [re.findall(r">([^<>]+)</text>", text) for text in (drawn, svg(chart))]
    assert words[0] == words[1]
    assert f"](docs/pictures/{picture}.svg)" in README


def test_the_lessons_quote_what_the_run_of_futures_says() -> None:
    said = report_of(load_any(ROOT / "docs" / "runs" / "futures.json")).findings
    blocks = " ".join(re.findall(r"```\n(.*?)```", LESSONS, flags=re.DOTALL)).split()
    for sentence in said[3:5]:
        assert sentence in " ".join(blocks)


def test_the_lessons_quote_what_threads_gain_without_a_gil() -> None:
    (said,) = report_of(load_any(ROOT / "docs" / "runs" / "gil-free-threaded.json")).findings
    blocks = " ".join(re.findall(r"```\n(.*?)```", LESSONS, flags=re.DOTALL)).split()
    assert said in " ".join(blocks)


@pytest.mark.parametrize("name", ["collecting.py", "pools_differ.py"])
def test_the_lessons_quote_what_an_example_prints(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    without_figures = re.compile(r" at [\d.]+ s| \w+Error$", flags=re.MULTILINE)
    quoted = set(without_figures.sub("", LESSONS).splitlines())
    for line in without_figures.sub("", done.stdout).splitlines():
        assert line in quoted
