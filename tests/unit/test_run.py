"""A saved run loads again as it was, and what is not a saved run is said to be none."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_for_tests import ENVIRONMENT, leg, one_after_another, rounds, run_of

from producer.measurement.clocks import Offset
from producer.measurement.noise import Noise
from producer.measurement.resources import Resources, Sample
from producer.measurement.result import FORMAT, load, save
from producer.measurement.run import Leg, Problem, Run
from producer.measurement.trace import Row, Trace

FIGURES = st.floats(min_value=0, max_value=1e6)
TIMES = st.integers(0, 10**10).map(lambda ticks: round(ticks * 1e-7, 7))
COUNTS = st.integers(0, 10**6)
ROWS = st.builds(
    Row,
    COUNTS,
    TIMES,
    st.none() | TIMES,
    st.none() | TIMES,
    TIMES,
    st.text(),
    st.none() | st.text(min_size=1),
)
OFFSETS = st.builds(Offset, FIGURES, FIGURES)
LEGS = st.builds(
    Leg,
    st.text(),
    COUNTS,
    COUNTS,
    FIGURES,
    st.builds(Trace, st.lists(ROWS, max_size=3), st.dictionaries(st.text(), OFFSETS, max_size=2), FIGURES),
    st.builds(Resources, FIGURES, COUNTS, COUNTS, COUNTS, COUNTS),
    st.lists(st.builds(Sample, FIGURES, FIGURES, COUNTS, COUNTS, COUNTS, COUNTS), max_size=2).map(tuple),
    st.none() | st.builds(Noise, FIGURES, FIGURES, FIGURES),
)
TEXTS = st.lists(st.text(), max_size=3).map(tuple)
RUNS = st.builds(
    Run,
    workload=st.text(),
    calls=TEXTS,
    models=TEXTS,
    settings=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=3),
    environment=st.just(ENVIRONMENT) | st.just(replace(ENVIRONMENT, load=None, gil=False)),
    began=FIGURES,
    legs=st.lists(LEGS, max_size=2).map(tuple),
    unavailable=st.dictionaries(st.text(), st.text(), max_size=2),
    problems=st.lists(st.builds(Problem, st.text(), st.text(), st.text()), max_size=2).map(tuple),
    cluster_startup=st.none() | FIGURES,
    notes=TEXTS,
    interrupted=st.booleans(),
    command=TEXTS,
    measuring=st.none() | FIGURES,
    noise=st.none() | st.builds(Noise, FIGURES, FIGURES, FIGURES),
)


@given(RUNS)
def test_a_run_loads_as_it_was_saved(tmp_path_factory: pytest.TempPathFactory, run: Run) -> None:
    path = tmp_path_factory.getbasetemp() / "run.json"
    save(run, path)
    assert load(path, Run) == run


def test_the_strategy_fills_every_field_of_a_run() -> None:
    """A field that is added has to be saved and loaded too."""
    assert {field.name for field in fields(Run)} == {
        *("workload", "calls", "models", "settings", "environment", "began", "legs"),
        *("unavailable", "problems", "cluster_startup", "notes", "interrupted", "command", "measuring"),
        "noise",
    }


def test_a_run_that_was_saved_without_switches_and_samples_loads(tmp_path: Path) -> None:
    def damage(document: Any) -> None:
        del document["legs"][0]["samples"], document["legs"][0]["resources"]["switches"]

    (leg,) = load(damaged(tmp_path, damage), Run).legs
    assert (leg.samples, leg.resources.switches) == ((), 0)


def test_text_beyond_ascii_is_saved_as_ascii(tmp_path: Path) -> None:
    """Whoever loads it may have another locale."""
    save(run_of(notes=("45 µs, wörtlich",)), tmp_path / "run.json")
    assert (tmp_path / "run.json").read_bytes().isascii()


def test_a_thousand_calls_take_less_than_a_hundred_bytes_each(tmp_path: Path) -> None:
    """Runs are kept and compared; columns make them a tenth of a list of objects."""
    run = run_of(leg("thread-pool", one_after_another(*[0.0123456] * 1000)))
    save(run, tmp_path / "run.json")
    assert (tmp_path / "run.json").stat().st_size < 100_000


def test_a_file_that_cannot_be_written_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        save(run_of(), tmp_path / "nowhere" / "run.json")


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "run.json", Run)


@pytest.mark.parametrize(
    "content",
    [b"", b"not JSON", b"\xff\xfe\x00", b"[]", b"3", b'"text"', b"{}", b"[" * 100_000, b'{"format": 2}'],
)
def test_a_file_of_something_else_is_said_to_be_no_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json is not a saved result"):
        load(tmp_path / "run.json", Run)


def damaged(tmp_path: Path, damage: Any) -> Path:
    path = tmp_path / "run.json"
    save(run_of(*rounds("sequential", [1.0])), path)
    document = json.loads(path.read_text())
    damage(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.pop("calls"),
        lambda document: document.pop("experiment"),
        lambda document: document["environment"].pop("cores"),
        lambda document: document["legs"][0]["trace"]["call"].pop(),
        lambda document: document["legs"][0]["trace"]["worker"].__setitem__(0, 99),
        lambda document: document["legs"][0].pop("resources"),
        lambda document: document.update(problems=[{}]),
    ],
)
def test_a_damaged_run_is_said_to_be_no_run(tmp_path: Path, damage: Any) -> None:
    with pytest.raises(ValueError, match=r"run\.json is not a saved result"):
        load(damaged(tmp_path, damage), Run)


def test_a_run_of_another_format_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    path = damaged(tmp_path, lambda document: document.update(format=FORMAT + 1))
    with pytest.raises(ValueError, match=r"run\.json was saved in format 3"):
        load(path, Run)


def test_the_result_of_another_experiment_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    path = damaged(tmp_path, lambda document: document.update(experiment="faults"))
    with pytest.raises(ValueError, match=r"run\.json is a result of faults, not of compare"):
        load(path, Run)
