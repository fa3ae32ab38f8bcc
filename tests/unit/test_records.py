"""One result, one line of JSON, whatever the value or the error is."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measurement.trace import Failure
from producer.reports.records import record
from worker.call import Call, Outcome, run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(), some, max_size=3),
    max_leaves=8,
)


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


def fail(text: str) -> None:
    raise LookupError(text)


@given(st.integers(0, 10**9), JSON)
def test_a_value_is_one_line_that_reads_back(index: int, value: Any) -> None:
    line, good = record(index, Outcome(value))
    assert good
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"index": index, "value": value}


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", math.nan, math.inf, circular(), {(1,): 2}, object()])
def test_a_value_that_json_cannot_express_is_an_error_that_says_so(value: object) -> None:
    line, good = record(0, Outcome(value))
    assert not good
    error = json.loads(line)["error"]
    assert error["type"] == "TypeError"
    assert error["message"].startswith(f"the value, of type {type(value).__name__}, is not JSON")


def test_an_error_has_type_message_and_the_traceback_of_where_it_was_raised() -> None:
    line, good = record(3, run(Call(fail, ("gone",))))
    found = json.loads(line)
    assert not good
    assert found["index"] == 3
    assert (found["error"]["type"], found["error"]["message"]) == ("LookupError", "gone")
    assert "raise LookupError(text)" in found["error"]["traceback"]


def test_a_call_without_an_outcome_has_an_error_too() -> None:
    line, good = record(0, Failure(RuntimeError("pool broken")))
    error = json.loads(line)["error"]
    assert not good
    assert error == {
        "type": "RuntimeError",
        "message": "pool broken",
        "traceback": "RuntimeError: pool broken\n",
    }


def test_an_error_whose_message_raises_is_a_record_all_the_same() -> None:
    line, _ = record(0, Outcome(error=SpeechlessError(), traceback="Traceback ..."))
    assert json.loads(line)["error"]["message"] == "<exception str() failed>"


@given(st.text())
def test_any_message_reads_back(text: str) -> None:
    line, _ = record(0, Failure(ValueError(text)))
    assert json.loads(line)["error"]["message"] == text
