"""What changed between two runs: differences are told from noise, and unlike runs are said to be such."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from runs_for_tests import ENVIRONMENT, rounds, run_of

from producer.experiments.break_even import Point, Sweep
from producer.experiments.pool_size import PoolSizes
from producer.measurement.change import change, changes, same_calls, slower
from producer.measurement.run import Problem, Run
from producer.measurement.summary import unpaired
from producer.reports.change import Changes, changes_of

SPREAD = (0.99, 1.0, 1.01, 1.0)
SECONDS = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=12)


def run(**medians: float) -> Run:
    """A run of four rounds that vary by a percent; names of models with _ for -."""
    legs = [
        leg
        for name, median in medians.items()
        for leg in rounds(name.replace("_", "-"), [median * factor for factor in SPREAD])
    ]
    return run_of(*legs)


def told(before: Run, after: Run) -> list[str]:
    found = changes_of(before, after)
    assert found is not None
    return list(found.sentences)


# the interval


def test_the_interval_is_welchs() -> None:
    """As `scipy.stats.ttest_ind(..., equal_var=False)` has it, on the logarithms."""
    from scipy.stats import ttest_ind

    after, before = [3.0, 3.3, 3.1], [2.0, 2.6, 2.2, 2.1]
    expected = ttest_ind([math.log(x) for x in after], [math.log(x) for x in before], equal_var=False)
    found = unpaired(after, before)
    assert (found.low, found.high) == pytest.approx(
        [math.exp(bound) for bound in expected.confidence_interval(0.95)]
    )
    assert found.sure == pytest.approx([math.exp(bound) for bound in expected.confidence_interval(0.99)])


@given(SECONDS, SECONDS)
def test_the_ratio_is_within_its_intervals_and_its_reciprocal_is_the_way_back(
    some: list[float], others: list[float]
) -> None:
    one, back = unpaired(some, others), unpaired(others, some)
    assert one.sure is not None
    assert one.sure[0] * 0.999 <= one.low * 0.9995 <= one.value <= one.high * 1.0005 <= one.sure[1] * 1.001
    assert math.log(one.value) == pytest.approx(-math.log(back.value), abs=1e-9)


def test_of_a_thousand_comparisons_of_like_with_like_about_ten_show_a_difference() -> None:
    chance = random.Random(1)  # noqa: S311 - noise, not a secret

    def sample(spread: float, count: int) -> list[float]:
        return [math.exp(chance.gauss(0.0, spread)) for _ in range(count)]

    wrong = sum(unpaired(sample(0.02, 3), sample(0.1, 6)).excludes(1.0) for _ in range(1_000))
    assert wrong <= 25


@pytest.mark.parametrize(("before", "after"), [([1.0], [2.0, 2.0]), ([1.0, 1.0], [2.0])])
def test_one_round_tells_no_difference_from_noise(before: Sequence[float], after: Sequence[float]) -> None:
    found = unpaired(after, before)
    assert found.value == pytest.approx(2.0)
    assert not found.known
    assert not found.excludes(1.0)
    assert not slower([change("thread-pool", before, after)], 0.1)


def test_rounds_that_do_not_vary_at_all_have_an_interval_too() -> None:
    found = unpaired([2.0, 2.0], [1.0, 1.0])
    assert found.sure == pytest.approx((2.0, 2.0))


# the threshold


@pytest.mark.parametrize(
    ("share", "which"), [(0.0, ["process-pool"]), (0.1, ["process-pool"]), (0.2, []), (0.5, [])]
)
def test_slower_is_what_surely_is_by_more_than_the_share(share: float, which: list[str]) -> None:
    found = changes(run(process_pool=1.0, thread_pool=2.0), run(process_pool=1.2, thread_pool=1.0))
    assert [one.model for one in slower(found, share)] == which


def test_noise_is_not_slower() -> None:
    before, after = run_of(*rounds("thread-pool", [1, 2, 3])), run_of(*rounds("thread-pool", [2, 3, 4]))
    assert not slower(changes(before, after), 0.0)


# the calls


def test_the_server_of_fetch_may_be_another_one() -> None:
    some, others = ["fetch('http://127.0.0.1:1234/0.05')"], ["fetch('http://127.0.0.1:99/0.05')"]
    assert same_calls("fetch", some, others)
    assert same_calls("fetch", some, ["fetch(0.05)"])
    assert not same_calls("fetch", some, ["fetch(0.06)"])
    assert not same_calls("work:get", some, others)


# the sentences


def test_each_model_has_a_sentence_and_the_table_a_row() -> None:
    before = run(process_pool=1.0, thread_pool=2.0, broker_queue=1.0)
    after = run(process_pool=1.12, thread_pool=1.0, broker_queue=1.001)
    found = changes_of(before, after)
    assert found is not None
    slow, fast, same = found.sentences
    assert slow.startswith("process-pool: 1.12 times as long as before (99 % confidence: 1.")
    assert slow.endswith("), more than noise.")
    assert fast.startswith("thread-pool: 0.50 times as long as before (99 %")
    assert same.startswith("broker-queue: no difference beyond noise (1.00 times")
    text = shown(found, 100)
    assert [line.split()[-1] for line in text.splitlines() if "-" in line and "to" in line] == [
        "slower",
        "faster",
        "noise",
    ]


@pytest.mark.parametrize("width", [100, 60, 30])
def test_the_table_fits_the_window(width: int) -> None:
    found = changes_of(run(process_pool=1.0), run(process_pool=1.12))
    assert found is not None
    text = shown(found, width)
    assert "slower" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def shown(found: Changes, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    for table in found.tables(console):
        console.print(table)
    return console.export_text()


def test_where_sequential_changed_the_models_are_not_blamed_alone() -> None:
    sentences = told(run(sequential=1.0, thread_pool=1.0), run(sequential=2.0, thread_pool=2.0))
    assert any(s.startswith("sequential changed as well") and "slower than before" in s for s in sentences)
    assert not any("as well" in s for s in told(run(sequential=1.0), run(sequential=2.0)))


def test_what_else_differs_is_told_first() -> None:
    before = run(thread_pool=1.0)
    elsewhere = replace(
        ENVIRONMENT, cores_in_reach=2, python="CPython 3.14.0", versions={"celery": "5.8", "numpy": "2"}
    )
    after = replace(
        run(thread_pool=1.0), environment=elsewhere, settings={**before.settings, "workers": 2, "seed": 5}
    )
    first = told(before, after)[0]
    assert first.startswith("Not like for like: cores in reach 4 before, 2 after; ")
    for part in (
        "3.11.7",
        "3.14.0",
        "celery 5.7.0 before, 5.8 after",
        "numpy none before",
        "workers 4 before",
    ):
        assert part in first
    assert "seed" not in first


def test_other_calls_and_other_widths_are_not_like_for_like() -> None:
    before = run(thread_pool=1.0)
    assert "other calls (2 before, 1 after)" in told(before, replace(before, calls=("sum(1)",)))[0]
    wider = run_of(*rounds("thread-pool", [1.0, 1.0], at_once=4))
    assert "calls of thread-pool in progress at once: 1 before, 4 after" in told(before, wider)[0]


def test_models_that_cannot_be_compared_are_named_with_the_reason() -> None:
    before = run(sequential=1.0, thread_pool=1.0, process_pool=1.0)
    after = replace(
        run(sequential=1.0, process_pool=1.0, event_loop=1.0),
        problems=(Problem("process-pool", "sum(1)", "returned 2"),),
        unavailable={"thread-pool": "no threads left"},
    )
    text = "\n".join(told(before, after))
    assert "thread-pool is not compared: left out (no threads left) after." in text
    assert "process-pool is not compared: results were wrong, or calls failed, after." in text
    assert "event-loop is not compared: not measured before." in text


def test_an_interrupted_run_is_said_to_be_one() -> None:
    before = run(thread_pool=1.0)
    assert "The run after was interrupted" in told(before, replace(before, interrupted=True))[0]


def test_runs_without_a_leg_have_a_sentence() -> None:
    assert told(run_of(), run_of()) == ["Neither run measured anything."]


def test_different_work_is_not_compared() -> None:
    (sentence,) = told(run(thread_pool=1.0), replace(run(thread_pool=1.0), workload="noop"))
    assert "sum and noop are different work" in sentence


# other experiments


def sweep(factor: float) -> Sweep:
    points = [
        Point("thread-pool", size, number, 10, 10 * size * spread * (factor if size == 0.01 else 1.0))
        for size in (0.001, 0.01)
        for number, spread in enumerate(SPREAD, 1)
    ]
    return Sweep(
        kind="io",
        sizes=(0.001, 0.01),
        models=("thread-pool",),
        settings={"workers": 4, "quick": True, "seed": 1},
        environment=ENVIRONMENT,
        began=0.0,
        points=tuple(points),
    )


def test_a_sweep_is_compared_at_each_size() -> None:
    found = changes_of(sweep(1.0), sweep(1.5))
    assert found is not None
    assert len(found.found) == 2
    slow, rest = found.sentences
    assert slow.startswith("thread-pool, calls of 10.0 ms: 1.50 times as long as before")
    assert rest == "thread-pool: no difference beyond noise at any other size."


def measured(of: Sweep, factor: float, **changes: Any) -> Sweep:
    """The same sweep, in which calls took so many times what they were asked for."""
    points = tuple(replace(point, size=factor * point.size) for point in of.points)
    return replace(of, sizes=tuple(factor * size for size in of.sizes), points=points, **changes)


def test_sizes_are_compared_by_what_was_asked_for_and_not_by_what_it_took() -> None:
    """As asked for, in a run of before sizes were measured; and by the calls, where those were given."""
    asked = {"asked": sweep(1.0).sizes}
    for before, after in (
        (sweep(1.0), measured(sweep(1.5), 1.2, **asked)),
        (measured(sweep(1.0), 0.9, **asked), measured(sweep(1.5), 1.2, **asked)),
        (
            measured(sweep(1.0), 0.9, calls=("f(1)", "f(2)")),
            measured(sweep(1.5), 1.2, calls=("f(1)", "f(2)")),
        ),
    ):
        found = changes_of(before, after)
        assert found is not None
        assert [one.size for one in found.found] == [0.0012, 0.012]
        assert found.sentences[0].startswith("thread-pool, calls of 12.0 ms: 1.50 times as long as before")


def test_sweeps_without_a_size_in_common_are_not_compared() -> None:
    found = changes_of(measured(sweep(1.0), 1.0, calls=("f(1)", "f(2)")), sweep(1.0))
    assert found is not None
    assert found.found == []
    assert found.sentences == ["No model was measured with calls of the same size before and after."]


def test_an_experiment_whose_changes_are_not_told_says_so() -> None:
    sizes = PoolSizes.__new__(PoolSizes)
    found = changes_of(sizes, sizes)
    assert found is not None
    assert "of pool-size is not told: it is of compare and of break-even alone" in found.sentences[0]


def test_results_of_different_experiments_have_no_changes() -> None:
    assert changes_of(run(thread_pool=1.0), sweep(1.0)) is None
