"""What limits the trust in a run is said where it does, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from runs_for_tests import ENVIRONMENT, leg, one_after_another, rounds, run_of

from producer.measurement.clocks import Offset
from producer.measurement.cost import measuring_cost
from producer.measurement.noise import Noise
from producer.measurement.run import Leg, Run
from producer.measurement.trace import Trace
from producer.reports.findings import findings
from producer.reports.report import report_of
from producer.reports.trust import busy

QUIET = Noise(10.0, 0.1, 0.0)


def text(*legs: Leg, **changes: Any) -> str:
    return "\n".join(findings(run_of(*legs, **changes)))


def noisy(legs: list[Leg], noise: Noise) -> list[Leg]:
    return [replace(leg, noise=noise) for leg in legs]


def steady(model: str, makespan: float) -> list[Leg]:
    return rounds(model, [makespan, makespan * 1.001, makespan * 0.999])


def test_a_difference_smaller_than_what_disturbed_the_run_is_not_to_be_relied_on() -> None:
    legs = noisy([*steady("sequential", 1.0), *steady("thread-pool", 0.9)], Noise(10.0, 3.0, 0.0))
    found = text(*legs)
    assert "thread-pool was the fastest" in found
    assert "The machine was too noisy for a difference of 11 %; do not rely on it: " in found
    assert "other programs took 30 % of the CPU time." in found


def test_a_difference_larger_than_what_disturbed_the_run_stands() -> None:
    legs = noisy([*steady("sequential", 1.0), *steady("thread-pool", 0.25)], Noise(10.0, 3.0, 0.0))
    found = text(*legs)
    assert "too noisy" not in found
    assert "During the run other programs took 30 % of the CPU time: that widens the intervals." in found


def test_time_that_other_virtual_machines_took_is_told() -> None:
    found = text(*noisy(steady("sequential", 1.0), Noise(10.0, 0.1, 0.5)))
    assert "During the run other virtual machines took 5 % of the CPU time" in found


def test_a_lead_smaller_than_sequentials_own_spread_is_not_to_be_relied_on() -> None:
    """The pairs agree on 3 %, but from round to round the machine changed by much more."""
    pace = [1.0, 1.3, 0.8, 1.1]
    legs = [*rounds("sequential", pace), *rounds("thread-pool", [p / 1.03 for p in pace])]
    found = text(*legs)
    assert "too noisy for a difference of 3 %; do not rely on it: sequential's own rounds vary by 2" in found


@pytest.mark.parametrize("noise", [QUIET, None, Noise(0.1, 0.08, 0.02)])
def test_a_quiet_machine_and_one_that_tells_too_little_are_not_called_noisy(noise: Noise | None) -> None:
    legs = [replace(leg, noise=noise) for leg in [*steady("sequential", 1.0), *steady("thread-pool", 0.9)]]
    assert "noisy" not in text(*legs)
    assert "During the run" not in text(*legs)


def test_outliers_are_named_and_said_to_count() -> None:
    found = text(*rounds("sequential", [1.0, 1.1, 0.9, 1.05, 0.95, 9.0]))
    assert "Far from the other rounds, and counted like them: round 6 of sequential (9.00 s)." in found


def test_many_outliers_are_counted() -> None:
    one = [1.0, 1.1, 0.9, 1.05, 0.95, 9.0]
    legs = [leg for name in ("sequential", "a", "b", "c", "d") for leg in rounds(name, one)]
    assert "and 2 others." in text(*legs)


def test_rounds_that_are_alike_have_no_outliers() -> None:
    assert "Far from" not in text(*rounds("sequential", [1.0, 1.1, 0.9, 1.05, 0.95, 1.02]))


def test_what_measuring_costs_is_told_where_calls_are_so_short_that_it_shows() -> None:
    """Two calls in 2 ms; of that 0.1 ms each is measuring."""
    found = text(*steady("sequential", 2e-3), measuring=1e-4)
    assert "Measuring costs a worker 100 µs in each call: 10 % of what a call takes on sequential." in found
    assert "Measuring costs" not in text(*steady("sequential", 2.0), measuring=1e-6)


def test_what_measuring_costs_is_measured() -> None:
    """A microsecond or so; a machine that is ten times as slow passes too."""
    assert 1e-8 < measuring_cost() < 2e-5


def on(offsets: dict[str, Offset], step: float = 0.0) -> Run:
    trace = Trace(one_after_another(1.0, 1.0), offsets, step)
    return run_of(leg("sequential", one_after_another(1.0, 1.0)), leg("broker-queue", trace))


def test_a_clock_that_was_corrected_is_told_with_its_uncertainty() -> None:
    found = "\n".join(findings(on({"far": Offset(0.0032, 0.0004)})))
    assert (
        "The clock of worker host far is 3.20 ms ahead of this machine's, give or take 400 µs: the times of "
        "its calls are corrected by that." in found
    )
    assert "2.00 s behind this machine's" in "\n".join(findings(on({"far": Offset(-2.0, 0.1)})))


def test_clocks_that_agree_are_told_with_how_well() -> None:
    found = "\n".join(findings(on({"a": Offset(0.001, 0.002), "b": Offset(0.0, 0.001)})))
    assert "Clocks of other worker hosts: a and b and this machine agree within 3.00 ms." in found


def test_the_round_that_knows_a_clock_best_is_quoted() -> None:
    runs = [on({"far": Offset(1.0, uncertainty)}) for uncertainty in (0.2, 0.1, 0.3)]
    run = replace(runs[0], legs=tuple(leg for run in runs for leg in run.legs))
    assert "give or take 100 ms" in "\n".join(findings(run))


def test_a_clock_that_was_set_during_a_round_is_told() -> None:
    found = "\n".join(findings(on({}, step=-1.5)))
    assert "The clock was set back by 1.50 s during round 1 of broker-queue: its times" in found


def test_clocks_of_one_machine_need_no_sentence() -> None:
    assert "lock" not in "\n".join(findings(on({})))


@pytest.mark.parametrize(("load", "told"), [(3.5, True), (1.0, False), (None, False)])
def test_a_machine_that_was_busy_before_is_named_in_every_report(load: float | None, told: bool) -> None:
    environment = replace(ENVIRONMENT, load=load)
    assert (busy(environment) is not None) is told
    report = report_of(run_of(*steady("sequential", 1.0), environment=environment))
    sentence = "The machine was busy before the run (load 3.5 on 4 cores)"
    assert any(sentence in finding for finding in report.findings) is told


@pytest.mark.parametrize(("gil", "words"), [(True, "GIL on"), (False, "GIL off")])
def test_a_free_threaded_python_is_called_that(gil: bool, words: str) -> None:
    environment = replace(ENVIRONMENT, free_threaded=True, gil=gil)
    assert f"free-threaded, {words}" in report_of(run_of(environment=environment)).where
    assert "free-threaded" not in report_of(run_of()).where
