"""The page: all that the terminal shows is on it, it asks for nothing, and what others wrote is text."""

from __future__ import annotations

import gzip
import json
import random
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from runs_for_tests import leg, one_after_another, rounds, run_of

from producer.measurement.result import convert
from producer.measurement.run import Problem, Run
from producer.measurement.trace import Row, Trace
from producer.reports.change import changes_of
from producer.reports.html import MOST_BYTES, page
from producer.reports.report import charts_of, load_any, report_of

RUN = run_of(
    *rounds("sequential", [4.0, 4.1, 3.9]),
    *rounds("thread-pool", [2.0, 2.1, 1.9], at_once=4),
    models=("sequential", "thread-pool", "event-loop"),
    unavailable={"event-loop": "needs a coroutine function (async def)"},
    command=("producer", "compare", "my work:f", "--quick"),
    notes=("A note.",),
)
HOSTILE = "</script><img src=x onerror=alert(1)>\u2028'\"{{7*7}}"


class Seen(HTMLParser):
    """Collects a page's elements, and its text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def drawing(self) -> dict[str, object]:
        """What the page's own script draws."""
        place = [attrs.get("id") for tag, attrs in self.tags if tag == "script"].index("drawing")
        return dict(json.loads(self.scripts[place]))


def test_all_that_the_terminal_shows_is_on_the_page() -> None:
    seen, report = Seen(page([RUN])), report_of(RUN)
    for said in (report.title, report.where, report.legend, report.method, *report.findings, "A note."):
        assert " ".join(said.split()) in seen.text
    for table in report.tables(Console(width=10_000)):
        for column in table.columns:
            assert str(column.header) in seen.text
            for cell in column.cells:
                assert str(cell) in seen.text
    assert "needs a coroutine function (async def)" in seen.text
    assert "producer compare 'my work:f' --quick" in seen.text
    assert "a processor" in seen.text


def test_each_chart_is_there_with_its_title_and_its_description() -> None:
    seen = Seen(page([RUN]))
    charts = charts_of(RUN)
    assert list(seen.drawing["charts"]) == [f"compare-1-{chart.name}" for chart in charts]  # type: ignore[call-overload]
    for chart in charts:
        assert chart.title in seen.text
        assert chart.alt in seen.text


def test_the_data_is_on_the_page_as_it_was_saved() -> None:
    seen = Seen(page([RUN]))
    data = [
        s
        for s, (_, attrs) in zip(seen.scripts, [t for t in seen.tags if t[0] == "script"], strict=True)
        if attrs.get("class") == "data"
    ]
    document = json.loads(gzip.decompress(b64decode(data[0])))
    assert convert(document, Run, Path("page")) == RUN


def test_the_page_asks_for_nothing() -> None:
    """No element names an address, and the policy forbids every connection and every script but its own."""
    seen = Seen(page([RUN]))
    for _, attributes in seen.tags:
        assert not attributes.keys() & {"src", "srcset", "action", "ping", "poster"}
        assert (attributes.get("href") or "#").startswith("#")
    (policy,) = [a["content"] for t, a in seen.tags if t == "meta" and a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "connect-src" not in policy


def test_a_usual_run_makes_a_page_of_less_than_two_megabytes() -> None:
    models = ("sequential", "thread-per-request", "thread-pool", "process-pool", "event-loop", "broker-queue")
    run = run_of(*(leg(m, one_after_another(*[0.01] * 100), number=n) for m in models for n in range(1, 11)))
    assert len(page([run]).encode()) < 2_000_000


def test_what_others_wrote_is_text() -> None:
    trace = Trace([Row(0, 0.0, 0.0, 1.0, 1.0, f"host/1/{HOSTILE}", f"ValueError: {HOSTILE}")])
    run = run_of(leg("thread-pool", trace), workload=HOSTILE, calls=(HOSTILE,), command=("producer", HOSTILE))
    run = replace(run, problems=(Problem("thread-pool", HOSTILE, f"returned {HOSTILE}"),), notes=(HOSTILE,))
    made = page([run])
    seen = Seen(made)
    assert "img" not in [tag for tag, _ in seen.tags]
    assert seen.text.count("</script><img src=x onerror=alert(1)>") >= 4
    assert "49" not in re.sub(r"\d{3,}", "", seen.text.split("How it was measured")[0])
    assert "\u2028" not in "".join(seen.scripts[:1])
    assert len(re.findall("<script", made)) == len(re.findall("</script", made)) == len(seen.scripts)


def test_several_results_have_a_table_of_contents() -> None:
    seen = Seen(page([RUN, RUN]))
    anchors = [attrs["href"] for tag, attrs in seen.tags if tag == "a"]
    assert anchors == ["#compare-1", "#compare-2"]
    ids = [attrs["id"] for _, attrs in seen.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {anchor.removeprefix("#") for anchor in anchors if anchor} <= set(ids)


def test_an_interrupted_run_without_a_leg_has_a_page_too() -> None:
    assert "Interrupted" in Seen(page([run_of(models=("sequential",), interrupted=True)])).text


@pytest.mark.parametrize("number", [1, 2])
def test_the_page_is_always_the_same(number: int) -> None:
    assert page([RUN] * number) == page([RUN] * number)


def test_of_many_problems_the_first_are_shown_each_with_its_beginning() -> None:
    problems = tuple(Problem("thread-pool", f"f({n})", f"returned {'x' * 5000}") for n in range(9000))
    seen = Seen(page([replace(RUN, problems=problems)]))
    assert seen.text.count("WRONG: ") == 10
    assert "and 8,990 more like these" in seen.text
    assert max(map(len, re.findall("x+", seen.text))) < 300


def test_data_that_would_make_a_page_too_large_is_left_out_and_the_page_says_so() -> None:
    """Nothing can be said shorter of what is random."""
    chance = random.Random(1)  # noqa: S311 - no secret
    notes = tuple(chance.randbytes(1000).hex() for _ in range(800))
    calls = tuple(chance.randbytes(1000).hex() for _ in RUN.calls) * 1000
    whole = page([replace(RUN, calls=calls[:2])])
    assert "--json saves it" not in Seen(whole).text
    noisy = replace(RUN, settings={"workers": 4, "none": None}, unavailable={})
    noisy = replace(noisy, calls=(*noisy.calls, *(chance.randbytes(1000).hex() for _ in notes)))
    made = page([noisy])
    assert len(made.encode()) < MOST_BYTES
    assert "What was measured is too much for a page: --json saves it." in Seen(made).text


def test_two_results_are_told_apart_in_links_and_files() -> None:
    seen = Seen(page([RUN, RUN], changes_of(RUN, RUN)))
    links = seen.text.split("What changed")[0]
    assert links.count("before: ") == links.count("after: ") == 1
    files = [attrs["data-file"] for _, attrs in seen.tags if "data-file" in attrs]
    assert files == ["compare-before.json", "compare-after.json"]
    files = [attrs["data-file"] for _, attrs in Seen(page([RUN] * 3)).tags if "data-file" in attrs]
    assert files == ["compare-1.json", "compare-2.json", "compare-3.json"]
    assert 'data-file="compare.json"' in page([RUN])


def test_a_setting_that_was_not_set_is_not_shown() -> None:
    assert "settings workers 4, budget 60.0, remote False" in Seen(page([RUN])).text


def test_what_stands_between_backticks_is_code() -> None:
    made = page([replace(RUN, notes=("Take `a<b`, or nothing.", "One ` alone."))])
    assert "Take <code>a&lt;b</code>, or nothing." in made
    assert "One ` alone." in made


def test_characters_that_nobody_sees_or_that_turn_text_around_are_written_with_their_escapes() -> None:
    hidden = "a\x1b[31m\x00\u202eb\ud800"
    run = replace(RUN, workload=hidden, notes=(hidden,), problems=(Problem("thread-pool", hidden, hidden),))
    made = page([replace(run, calls=(hidden, hidden))])
    assert not {"\x1b", "\x00", "\u202e"} & set(made)
    assert Seen(made).text.count(r"a\x1b[31m\x00\u202eb\ud800") >= 4


@pytest.mark.parametrize("run", ["compare", "overload", "gil", "pool-size", "scale", "blocking", "futures"])
def test_a_page_says_how_it_was_measured(run: str) -> None:
    report = report_of(load_any(Path(__file__).parents[2] / "docs" / "runs" / f"{run}.json"))
    assert len(report.method) > 200
