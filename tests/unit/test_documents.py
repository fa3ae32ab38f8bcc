"""What the documents quote is there: the runs, the pages they link to, the examples and what they print."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from producer.reports.report import load_any, report_of
from producer.reports.terminal import show

ROOT = Path(__file__).parents[2]
RUNS = sorted((ROOT / "docs" / "runs").glob("*.json"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
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


def test_the_lessons_quote_what_the_run_of_futures_says() -> None:
    said = report_of(load_any(ROOT / "docs" / "runs" / "futures.json")).findings
    blocks = " ".join(re.findall(r"```\n(.*?)```", LESSONS, flags=re.DOTALL)).split()
    for sentence in said[3:5]:
        assert sentence in " ".join(blocks)


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
