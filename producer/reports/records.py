"""One call's result as a line of JSON."""

from __future__ import annotations

import json
import traceback
from typing import Any

from producer.measurement.trace import Failure, message
from worker.call import Outcome


def record(index: int, outcome: Outcome | Failure) -> tuple[bytes, bool]:
    """Return a line for one call, and whether it holds a value.

    Args:
        index: the call's place among the inputs, from 0.
        outcome: how it ended. A value that JSON cannot express becomes an error that says so.
    """
    if outcome.error is not None:
        text = "" if isinstance(outcome, Failure) else outcome.traceback
        return _line(index, error=_error(outcome.error, text)), False
    assert isinstance(outcome, Outcome)  # noqa: S101 - a failure has an error
    try:
        return _line(index, value=outcome.value), True
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(outcome.value).__name__
        unfit = TypeError(f"the value, of type {kind}, is not JSON: {error}")
        return _line(index, error=_error(unfit, "")), False


def _error(error: BaseException, text: str) -> dict[str, str]:
    return {
        "type": type(error).__name__,
        "message": message(error),
        "traceback": text or "".join(traceback.format_exception(error)),
    }


def _line(index: int, **what: Any) -> bytes:
    return json.dumps({"index": index, **what}, allow_nan=False).encode() + b"\n"
