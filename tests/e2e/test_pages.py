"""The pages of reports, in a real browser: drawn, switched, dark, on a phone, on paper, with hostile text.

They need no engine, only Chromium. The pages are of the runs that the documents show, and of three made-up
results: a sweep, a drill, and a run in which every text is hostile.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from browse_flower import ARGUMENTS, BROWSERS
from containers import ROOT
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from producer.experiments.break_even import Point, Sweep
from producer.experiments.faults import OURS, Cut, Drill, Drills, Plan
from producer.measurement.result import Result
from producer.measurement.run import Problem, Run
from producer.measurement.trace import Trace
from producer.reports.charts import Chart
from producer.reports.html import page
from producer.reports.report import charts_of, load_any

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

RUNS = ROOT / "docs" / "runs"
#: What Vega-Lite says of a chart whose height follows the number of its lanes, as it should.
HARMLESS = 'Dropping "fit-y" because spec has discrete height.'
PHONE = {"width": 390, "height": 844}
#: It would show itself by an element, or by a page that has another title.
HOSTILE = (
    "<img src=x onerror=\"document.title='ran'\">'\u2028</script><script>document.title='ran'</script>{{7*7}}"
)


def _hostile() -> Run:
    """A real run, but all that its user could have named has a hostile name."""
    run = load_any(RUNS / "compare-sum.json")
    assert isinstance(run, Run)
    legs = [
        replace(leg, trace=Trace(replace(row, worker=HOSTILE, error=f"E: {HOSTILE}") for row in leg.trace))
        if leg.model == "thread-pool"
        else leg
        for leg in run.legs
    ]
    return replace(
        run,
        workload=HOSTILE,
        calls=tuple(HOSTILE for _ in run.calls),
        legs=tuple(legs),
        problems=(Problem("process-pool", HOSTILE, f"returned {HOSTILE}"),),
        unavailable={"event-loop": HOSTILE},
        notes=(HOSTILE,),
        command=("producer", "compare", HOSTILE),
    )


def _sweep(like: Result) -> Sweep:
    """Sequential calls cost nothing; a process pool's cost 1 ms each, and four run at a time."""
    sizes = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    points = [
        Point(model, size, number, 10, 10 * (size if model == "sequential" else 1e-3 + size / 4) * mood)
        for size in sizes
        for number, mood in enumerate((1.0, 1.02, 0.98), 1)
        for model in ("sequential", "process-pool")
    ]
    shared: dict[str, Any] = {"environment": like.environment, "began": 0.0, "settings": {"workers": 4}}
    return Sweep(
        kind="cpu", sizes=sizes, points=tuple(points), models=("sequential", "process-pool"), **shared
    )


def _drills(like: Result) -> Drills:
    drills = (
        Drill(OURS, 4, 4, 0, 1, (2.0,), 5.0, 1, (1.0,), (0.5, 0.9, 3.0, 5.0), (Cut(2, 1.0, 3.0),)),
        Drill("Celery's defaults", 4, 2, 0, 1, (), 0.9, 1, (1.0,), (0.5, 0.9), (Cut(2, 1.0, None),)),
    )
    plan = Plan(calls=4, seconds=1.0, kills=1, workers=1, processes=2, lease=2.0, bound=8.0)
    shared: dict[str, Any] = {"environment": like.environment, "began": 0.0, "settings": {"workers": 1}}
    return Drills(plan=plan, drills=drills, models=(), **shared)


SAVED = {path.stem: load_any(path) for path in sorted(RUNS.glob("*.json"))}
#: Each result, and its page's name.
RESULTS: dict[str, Result] = {
    **{name: result for name, result in SAVED.items() if name != "faults" and charts_of(result)},
    "break-even": _sweep(SAVED["compare-sum"]),
    "faults": _drills(SAVED["faults"]),
    "hostile": _hostile(),
}
CHARTS = [
    pytest.param(name, chart, id=f"{name}-{chart.name}")
    for name, result in RESULTS.items()
    for chart in charts_of(result)
]
EVERY_PAGE = pytest.mark.parametrize("name", RESULTS)

Row = dict[str, Any]
Test = Callable[[Row], object]


def what(*kinds: str) -> Test:
    return lambda row: row.get("what") in kinds


def having(*fields: str) -> Test:
    return lambda row: all(row.get(field) is not None for field in fields)


#: For each chart, by its experiment and name: which rows make a mark of a kind, layer by layer. Vega draws
#: bars and ticks as rects, and points as symbols. An empty name stands for all of an experiment's charts.
MARKS: dict[tuple[str, str], dict[str, tuple[Test, ...]]] = {
    ("compare", "timeline"): {
        "rect": (what("run"), lambda row: row["what"] == "run" and "free" in row),
        "text": (what("head", "error"),),
    },
    ("compare", "speedup"): {
        "rect": (what("ideal"), having("low")),
        "symbol": (what("speedup"),),
        "rule": (lambda row: "model" not in row,),
    },
    ("compare", "latency"): {"symbol": (what("mark"),)},
    ("compare", "resources"): {"symbol": (having("memory"), having("threads"), having("cores"))},
    ("compare", "memory"): {"rect": (having("model"),), "text": (having("model"),)},
    ("compare", "threads"): {"rect": (having("model"),), "text": (having("model"),)},
    ("compare", "cpu"): {"rect": (having("model"),), "text": (having("model"),)},
    ("break-even", "throughput"): {
        "symbol": (what("rate", "crossing"),),
        "rule": (what("crossing"),),
        "text": (what("crossing"),),
    },
    ("break-even", "speedup"): {"symbol": (having("size"),), "rule": (having("text"),)},
    ("overload", ""): {"symbol": (having("series"),), "rule": (having("capacity"),)},
    ("pool-size", ""): {"symbol": (having("rate"), having("p99"), *2 * (lambda row: row["knee"],))},
    ("scale", ""): {"symbol": (what("one", "several"),)},
    ("futures", "lives"): {
        "rect": (what("state"),),
        "symbol": (lambda row: row.get("state") in ("FINISHED", "CANCELLED", "gave up"),),
        "text": (what("head"),),
    },
    ("gil", "speedup"): {
        "rect": (having("work"),),
        "rule": (having("low"), lambda row: "work" not in row),
        "text": (having("work"),),
    },
    ("blocking", ""): {"symbol": (having("way"),), "rule": (lambda row: "way" not in row,)},
    ("faults", "deliveries"): {"symbol": (what("kill"),), "text": (what("lost"),)},
    ("faults", "recoveries"): {"rect": (what("came"),), "text": (what("lost", "head"),)},
}
#: What a line is drawn for, by chart: one for each of these fields' values; and how many panels have it.
LINES: dict[tuple[str, str], tuple[Test, tuple[str, ...], int]] = {
    ("compare", "latency"): (what("curve"), ("model",), 1),
    ("compare", "resources"): (having("model"), ("model",), 3),
    ("break-even", "throughput"): (what("rate"), ("model",), 1),
    ("break-even", "speedup"): (having("size"), ("model",), 1),
    ("overload", ""): (having("series"), ("model", "series"), 1),
    ("pool-size", ""): (having("rate"), ("model",), 2),
    ("scale", ""): (what("law", "ideal"), ("model", "what"), 1),
    ("blocking", ""): (having("way"), ("way",), 1),
    ("faults", "deliveries"): (what("curve"), ("settings",), 1),
}


@dataclass
class Shown:
    """A page that is open, and what it did."""

    page: Page
    problems: list[str]
    requests: list[str]

    def chart(self, name: str) -> Locator:
        return self.page.locator(f"figure[id$='-1-{name}']")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()
        _, left = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=10)
        assert [process.name() for process in left if "chrom" in process.name()] == []


@pytest.fixture(autouse=True)
def no_process_left() -> None:
    """Not test by test: Chromium starts and keeps processes as it likes. They end with it, see `browser`."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The address of each page."""
    folder = tmp_path_factory.mktemp("pages")
    addresses = {}
    for name, result in RESULTS.items():
        path = folder / f"{name}.html"
        path.write_text(page([result]), encoding="utf-8")
        addresses[name] = path.as_uri()
    return addresses


def shown(context: BrowserContext, address: str) -> Shown:
    """Open a page, and wait until all is drawn."""
    context.set_default_timeout(30_000)
    one = Shown(context.new_page(), [], [])
    one.page.on("pageerror", lambda error: one.problems.append(str(error)))
    one.page.on(
        "console",
        lambda said: (
            one.problems.append(said.text)
            if said.type in ("error", "warning") and HARMLESS not in said.text
            else None
        ),
    )
    one.page.on("dialog", lambda dialog: (one.problems.append(dialog.message), dialog.dismiss()))
    one.page.on("request", lambda request: one.requests.append(request.url))
    one.page.goto(address)
    one.page.wait_for_function("document.documentElement.dataset.drawn === 'all'")
    return one


Open = Callable[..., Shown]


@pytest.fixture
def opened(browser: Browser, files: dict[str, str]) -> Iterator[Open]:
    """Opens a page by its name, in a context of its own, which takes Playwright's options."""
    contexts: list[BrowserContext] = []

    def open_page(name: str, **options: Any) -> Shown:
        contexts.append(browser.new_context(**options))
        return shown(contexts[-1], files[name])

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def usual(browser: Browser, files: dict[str, str]) -> Iterator[Callable[[str], Shown]]:
    """Each page as a usual window shows it, once for the tests that only look."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    seen: dict[str, Shown] = {}

    def look(name: str) -> Shown:
        if name not in seen:
            seen[name] = shown(context, files[name])
        return seen[name]

    yield look
    context.close()


def marks(figure: Locator, kind: str) -> int:
    """Count a chart's marks of a kind, without those of axes, headers and legends."""
    return figure.locator(f".chart svg g.mark-{kind}.role-mark > *").count()


def expected(experiment: str, chart: Chart) -> dict[str, int]:
    """Return how many marks of each kind the data makes."""
    key = (experiment, chart.name)
    counted = {
        kind: sum(bool(test(row)) for test in tests for row in chart.rows)
        for kind, tests in MARKS.get(key, MARKS.get((experiment, ""), {})).items()
    }
    if line := LINES.get(key, LINES.get((experiment, ""))):
        test, fields, panels = line
        ends = {tuple(row[field] for field in fields) for row in chart.rows if test(row)}
        counted["line"] = panels * len(ends)
    return counted


@EVERY_PAGE
def test_a_page_asks_for_nothing_and_complains_of_nothing(
    usual: Callable[[str], Shown], files: dict[str, str], name: str
) -> None:
    seen = usual(name)
    assert seen.problems == []
    assert [url for url in seen.requests if not url.startswith(("data:", "blob:"))] == [files[name]]


@pytest.mark.parametrize(("name", "chart"), CHARTS)
def test_each_row_of_the_data_is_drawn(usual: Callable[[str], Shown], name: str, chart: Chart) -> None:
    wanted = expected(RESULTS[name].experiment, chart)
    assert wanted, "no count is known for this chart"
    assert sum(wanted.values())
    figure = usual(name).chart(chart.name)
    assert {kind: marks(figure, kind) for kind in wanted} == wanted


#: Returns the texts of a picture that are cut off at its edge.
CUT_OFF = """svg => {
    const all = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")]
      .filter((text) => text.textContent.trim())
      .map((text) => [text.textContent, text.getBoundingClientRect()])
      .filter(([, box]) => box.width && (box.left < all.left - 2 || box.right > all.right + 2
        || box.top < all.top - 2 || box.bottom > all.bottom + 2))
      .map(([text]) => text);
}"""


@pytest.mark.parametrize(("name", "chart"), CHARTS)
def test_nothing_drawn_lies_outside_of_its_chart(
    usual: Callable[[str], Shown], name: str, chart: Chart
) -> None:
    """Neither labels nor marks are cut off at the edge of the picture."""
    assert usual(name).chart(chart.name).locator(".chart svg").evaluate(CUT_OFF) == []


@pytest.mark.parametrize("width", [390, 320])
@EVERY_PAGE
def test_no_text_of_a_chart_is_cut_off_in_a_narrow_window(opened: Open, name: str, width: int) -> None:
    seen = opened(name, viewport={"width": width, "height": 844})
    cut = {
        chart.name: seen.chart(chart.name).locator(".chart svg").evaluate(CUT_OFF)
        for chart in charts_of(RESULTS[name])
    }
    assert {chart: texts for chart, texts in cut.items() if texts} == {}


@pytest.mark.parametrize(("name", "chart"), [one for one in CHARTS if not one.values[1].small])
def test_a_switch_hides_its_series_and_brings_it_back(
    usual: Callable[[str], Shown], name: str, chart: Chart
) -> None:
    seen = usual(name)
    figure = seen.chart(chart.name)
    buttons = figure.locator(".series button")
    assert buttons.all_text_contents() == list(chart.series)
    button, colour = buttons.first, next(iter(chart.series.values()))
    of_series = figure.locator(f".chart .role-mark :is([fill='{colour}'], [stroke='{colour}'])")
    before = of_series.count()
    assert before
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(of_series).to_have_count(0)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(of_series).to_have_count(before)
    assert seen.problems == []


@pytest.mark.parametrize("key", ["Space", "Enter"])
def test_the_keyboard_reaches_the_switches_and_turns_them(opened: Open, key: str) -> None:
    seen = opened("compare-sum")
    first = seen.page.locator(".series button").first
    for _ in range(20):
        seen.page.keyboard.press("Tab")
        if first.evaluate("button => button === document.activeElement"):
            break
    else:
        pytest.fail("twenty times Tab, and the first switch has no focus")
    assert first.evaluate("button => getComputedStyle(button).outlineStyle") != "none"
    seen.page.keyboard.press(key)
    assert first.get_attribute("aria-pressed") == "false"
    seen.page.keyboard.press(key)
    assert first.get_attribute("aria-pressed") == "true"


def luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)`, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_dark_where_its_reader_wants_it_dark(opened: Open, scheme: str) -> None:
    """The text of the page and of its charts has a contrast of 7 : 1 (WCAG's AAA) either way."""
    seen = opened("compare-sum", color_scheme=scheme)
    style = "(node, name) => getComputedStyle(node)[name]"
    body = seen.page.locator("body")
    back = luminance(body.evaluate(style, "backgroundColor"))
    card = luminance(seen.page.locator("figure").first.evaluate(style, "backgroundColor"))
    assert (back < 0.1 and card < 0.1) if scheme == "dark" else (back > 0.9 and card > 0.9)
    label = seen.page.locator(".chart svg .role-axis-label text").first
    for text, behind in ((body.evaluate(style, "color"), back), (label.evaluate(style, "fill"), card)):
        low, high = sorted((luminance(text), behind))
        assert (high + 0.05) / (low + 0.05) > 7


@EVERY_PAGE
def test_a_phone_need_not_scroll_sideways(opened: Open, name: str) -> None:
    seen = opened(name, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    wide, window = seen.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert (wide, window) == (PHONE["width"], PHONE["width"])
    for svg in seen.page.locator(".chart svg").all():
        box = svg.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    assert seen.problems == []


@EVERY_PAGE
def test_a_page_can_be_printed(usual: Callable[[str], Shown], name: str) -> None:
    """On white, whatever the screen is; with all its charts."""
    seen = usual(name).page
    printed = seen.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert re.search(rb"/Type /Pages\b[^>]*/Count [1-9]", printed)
    assert len(printed) > 20_000
    seen.emulate_media(media="print", color_scheme="dark")
    try:
        colours = "node => [getComputedStyle(node).backgroundColor, getComputedStyle(node).color]"
        assert seen.locator("body").evaluate(colours) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        for chart in charts_of(RESULTS[name]):
            assert usual(name).chart(chart.name).locator(".chart svg").is_visible()
    finally:
        seen.emulate_media(media="screen", color_scheme="light")


def test_what_others_wrote_is_text_and_runs_nothing(opened: Open) -> None:
    seen = opened("hostile")
    # A tooltip, too: it shows the names of calls and the messages of errors.
    bars = seen.chart("timeline").locator(".chart svg g.mark-rect.role-mark > path[fill='#d55e00']")
    widest = max(bars.all(), key=lambda bar: (bar.bounding_box() or {"width": 0})["width"])
    widest.hover(force=True)  # the mark of its error may lie over it, and has the same tooltip
    seen.page.wait_for_selector("#vg-tooltip-element.visible")
    assert seen.page.inner_text("#vg-tooltip-element").count("<img src=x") >= 2
    assert seen.page.locator("img").count() == 0
    assert seen.page.title().startswith("<img src=x")
    text = seen.page.inner_text("main")
    assert text.count("</script><script>document.title=") >= 4
    assert "{{7*7}}" in text
    assert seen.problems == []


@EVERY_PAGE
def test_axe_finds_nothing_serious(opened: Open, name: str) -> None:
    # The page's own policy forbids scripts that are put into it.
    seen = opened(name, bypass_csp=True)
    serious = []
    for scheme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=scheme)
        serious += [
            (scheme, one["id"], [node["target"] for node in one["nodes"]][:5])
            for one in Axe().run(seen.page).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    assert serious == []
