"""A job is made from what the user names, and what can't be used is named with what would do instead."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.experiments.job import (
    SUBTASKS,
    InputError,
    Job,
    is_asynchronous,
    job,
    load_function,
    nearest,
    parse_inputs,
    read_inputs,
    served,
)
from worker import workloads
from worker.workloads import WORKLOADS

MODULE = """
import asyncio

def square(n):
    return n * n

async def square_async(n):
    return n * n

class Outer:
    @staticmethod
    def inner(n):
        return n

class Later:
    async def __call__(self, n):
        return n

later = Later()
nameless = lambda n: n
number = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with the module `work`, which is forgotten afterwards."""
    (tmp_path / "work.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "lacking.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("work", "broken", "leaving", "lacking"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def inputs(directory: Path, *lines: str) -> str:
    (directory / "inputs.jsonl").write_text("\n".join(lines) + "\n")
    return str(directory / "inputs.jsonl")


# JSON lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(), some, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.lists(JSON, max_size=4) | st.dictionaries(st.text(), JSON, max_size=4), max_size=6))
def test_arrays_are_positional_and_objects_are_keyword_arguments(values: list[Any]) -> None:
    lines = [json.dumps(value).encode() + b"\n" for value in values]
    expected = [(tuple(v), {}) if isinstance(v, list) else ((), v) for v in values]
    assert list(parse_inputs(lines, "inputs")) == expected


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_either_inputs_or_an_input_error(lines: list[bytes]) -> None:
    """No other error, whatever a file holds."""
    with contextlib.suppress(InputError):
        for args, kwargs in parse_inputs(io.BytesIO(b"\n".join(lines)), "inputs"):
            assert (type(args), type(kwargs)) == (tuple, dict)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1", "not JSON"),
        (b"nothing", "not JSON"),
        (b"3", "must be an array"),
        (b'"text"', "must be an array"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[" + b"9" * 10_000 + b"]", "not JSON"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_the_reason(line: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^calls\.jsonl, line 3: {reason}"):
        list(parse_inputs([b"[1]\n", b"\n", line], "calls.jsonl"))


def test_a_long_bad_line_is_shown_shortened() -> None:
    with pytest.raises(InputError) as raised:
        list(parse_inputs([b"x" * 1000], "inputs"))
    assert len(str(raised.value)) < 150


def test_blank_lines_are_skipped_and_a_byte_order_mark_is_no_error() -> None:
    assert list(parse_inputs([b"\xef\xbb\xbf[1]\n", b"  \n", b"[2]\r\n"], "inputs")) == [
        ((1,), {}),
        ((2,), {}),
    ]


def test_the_calls_before_a_bad_line_are_handed_on() -> None:
    """Inputs are streamed: what is good runs."""
    lines = parse_inputs([b"[1]\n", b"bad\n"], "inputs")
    assert next(lines) == ((1,), {})


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    inputs(tmp_path, "[1]")
    with pytest.raises(InputError, match=r"there is no file .*input\.jsonl: did you mean 'inputs\.jsonl'\?"):
        list(read_inputs(str(tmp_path / "input.jsonl")))


def test_a_missing_directory_is_an_input_error_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        list(read_inputs(str(tmp_path / "nowhere" / "inputs.jsonl")))


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*directory"):
        list(read_inputs(str(tmp_path)))


# functions


def test_a_function_is_imported_from_the_current_directory(here: Path) -> None:
    assert load_function("work:square")(3) == 9


def test_a_function_of_a_class_is_found(here: Path) -> None:
    assert load_function("work:Outer.inner")(3) == 3


def test_a_function_of_an_installed_module_is_found() -> None:
    assert load_function("math:factorial") is math.factorial


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("work", "'work' is not of the form module:function"),
        (":square", "':square' is not of the form module:function"),
        ("work:", "'work:' is not of the form module:function"),
        ("wrok:square", "there is no module 'wrok': did you mean 'work'?"),
        ("entirely_else:f", "there is no module 'entirely_else': it is looked for in the current directory"),
        ("work:sqare", "work has no function 'sqare': did you mean 'square'?"),
        ("work:xyz", "work has no function 'xyz': work has Later, Outer, "),
        ("work:number", "work:number is not a function but of type int"),
        ("work:nameless", "work:nameless can't be found again by other processes: define it with `def`"),
        ("broken:f", "cannot import broken: ZeroDivisionError: division by zero"),
        ("leaving:f", "cannot import leaving: SystemExit: 3"),
        ("lacking:f", "cannot import lacking: No module named 'no_such_module_anywhere'"),
    ],
)
def test_what_is_wrong_with_a_reference_is_said(here: Path, reference: str, reason: str) -> None:
    with pytest.raises(InputError) as raised:
        load_function(reference)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize(
    ("name", "asynchronous"), [("square", False), ("square_async", True), ("later", True), ("Outer", False)]
)
def test_what_has_to_be_awaited_is_told_apart(here: Path, name: str, asynchronous: bool) -> None:
    assert is_asynchronous(load_function(f"work:{name}")) is asynchronous


def test_nearest_is_silent_where_nothing_is_near() -> None:
    assert nearest("fetch", ["sum", "digest"]) is None


# jobs


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_brings_its_functions_and_inputs(name: str) -> None:
    made = job(name)
    workload = WORKLOADS[name]
    assert (made.function, made.async_function) == (workload.function, workload.async_function)
    assert len(made.arguments) == len(workload.inputs)


def test_quick_takes_the_smaller_inputs_with_their_results() -> None:
    made = job("sum", quick=True)
    assert made.arguments == [(item, {}) for item in WORKLOADS["sum"].quick_inputs]
    assert made.expected == WORKLOADS["sum"].quick_expected


def test_quick_without_smaller_inputs_takes_all() -> None:
    assert len(job("noop", quick=True).arguments) == len(WORKLOADS["noop"].inputs)


def test_ones_own_function_needs_inputs(here: Path) -> None:
    with pytest.raises(InputError, match="work:square needs inputs: --inputs FILE"):
        job("work:square")


def test_ones_own_function_runs_with_the_inputs_of_the_file(here: Path) -> None:
    made = job("work:square", inputs=inputs(here, "[3]", '{"n": 4}'))
    assert [call.function(*call.args, **call.kwargs) for call in made.calls()] == [9, 16]


def test_an_async_function_has_no_plain_variant(here: Path) -> None:
    made = job("work:square_async", inputs=inputs(here, "[3]"))
    (call,) = made.calls(asynchronous=True)
    assert asyncio.run(call.function(*call.args)) == 9
    with pytest.raises(ValueError, match="no plain function"):
        made.calls()


def test_ones_own_inputs_of_a_workload_have_no_expected_results(tmp_path: Path) -> None:
    assert job("sum", inputs=inputs(tmp_path, "[5]")).expected == ()


def test_a_file_without_inputs_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"inputs\.jsonl has no inputs"):
        job("sum", inputs=inputs(tmp_path, "", ""))


def test_an_unknown_workload_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"there is no workload 'fecth': did you mean 'fetch'\?"):
        job("fecth")


def test_an_unknown_workload_far_from_all_is_named_with_all() -> None:
    with pytest.raises(InputError, match="there are sum, digest, fetch, sleep, noop, and module:function"):
        job("xyzzy")


@given(st.integers(1, 20))
def test_tasks_repeats_inputs_and_results_or_cuts_them(tasks: int) -> None:
    made = job("sum", quick=True, tasks=tasks)
    whole = job("sum", quick=True)
    assert len(made.arguments) == len(made.expected) == tasks
    assert all(made.arguments[i] == whole.arguments[i % 4] for i in range(tasks))
    assert all(made.expected[i] == whole.expected[i % 4] for i in range(tasks))


def test_labels_read_like_source_text() -> None:
    assert job("sum", tasks=1).labels() == ["sum(100000)"]


# --split


def part_sums(made: Job) -> list[int]:
    totals = [0] * len(made.wholes)
    for call, whole in zip(made.calls(), made.part_of, strict=True):
        totals[whole] += call.function(*call.args, **call.kwargs)
    return totals


@given(st.lists(st.tuples(st.integers(-300, 300), st.integers(-300, 300)), min_size=1, max_size=5))
def test_parts_add_up_to_their_wholes_however_they_are_cut(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[tuple[int, int]]
) -> None:
    file = inputs(tmp_path_factory.mktemp("split"), *(json.dumps(each) for each in ranges))
    assert part_sums(job("sum", inputs=file, split=True)) == [workloads.sum(*each) for each in ranges]


def test_the_longest_range_is_cut_into_the_number_of_subtasks() -> None:
    made = job("sum", quick=True, split=True)
    assert list(made.part_of).count(3) == SUBTASKS
    assert made.wholes[3] == "sum(10000000)"


def test_no_part_is_longer_than_another_ranges_part() -> None:
    made = job("sum", quick=True, split=True)
    sizes = [n - start + 1 for (n, start), _ in made.arguments]
    assert max(sizes) == -(-10_000_000 // SUBTASKS)


def test_an_empty_range_has_one_part(tmp_path: Path) -> None:
    """A comparison of no calls has no figures."""
    assert job("sum", inputs=inputs(tmp_path, "[0]"), split=True).arguments == [((0, 1), {})]


def test_only_ranges_can_be_split() -> None:
    with pytest.raises(InputError, match="only the workload sum has; digest has none"):
        job("digest", split=True)


@pytest.mark.parametrize("line", ['["a"]', "[1, 2, 3]", '{"m": 1}', "[1.5]"])
def test_an_input_that_is_no_range_cannot_be_split(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match="--split: an input is not a range"):
        job("sum", inputs=inputs(tmp_path, line), split=True)


def test_tasks_and_split_exclude_each_other() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        job("sum", split=True, tasks=3)


# the server


def test_a_job_that_needs_no_server_is_left_alone() -> None:
    made = job("noop")
    with served(made) as same:
        assert same is made


def test_a_job_that_needs_the_server_gets_its_urls() -> None:
    with served(job("fetch", quick=True, tasks=2)) as made:
        (url,), _ = made.arguments[0]
        assert url.endswith("/0.02")
        assert made.calls()[0].function(url) == len("after 0.02 s\n")
    assert not made.needs_server
