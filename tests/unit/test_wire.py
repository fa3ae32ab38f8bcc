"""Calls and outcomes survive their way, by reference where the other side can follow it, else by value."""

from __future__ import annotations

import functools
import json
import math
import operator
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.virtual import Base64, Message

from worker import wire, workloads
from worker.signing import CONTENT_TYPE, Key
from worker.wire import CallError, Reply


def double(value: int) -> int:
    return 2 * value


class Counter:
    def __init__(self, start: int) -> None:
        self.start = start

    def add(self, value: int) -> int:
        return self.start + value

    @classmethod
    def made(cls, start: int) -> int:
        return cls(start).start

    @staticmethod
    def twice(value: int) -> int:
        return 2 * value

    def __call__(self, value: int) -> int:
        return self.start + value

    class Inner:  # noqa: D106 - of a test
        @staticmethod
        def thrice(value: int) -> int:
            return 3 * value


class TwoPartsError(Exception):
    """Pickles well, and can't be unpickled: its `args` are not those of its `__init__`."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class LockedError(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Refusing:
    """What it raises when it is pickled is not even an `Exception`."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


# Functions.


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (double, f"{__name__}:double"),
        (math.factorial, "math:factorial"),
        (len, "builtins:len"),
        (int, "builtins:int"),
        (dict.fromkeys, None),
        (workloads.noop, "worker.workloads:noop"),
        (Counter, f"{__name__}:Counter"),
        (Counter.twice, f"{__name__}:Counter.twice"),
        (Counter.Inner.thrice, f"{__name__}:Counter.Inner.thrice"),
        (Counter.add, f"{__name__}:Counter.add"),
    ],
)
def test_what_can_be_imported_goes_by_reference(function: Callable[..., Any], reference: str | None) -> None:
    packed = wire.pack_function(function)
    if reference is not None:
        assert packed == (reference,)
    assert wire.unpack_function(packed) == function


def test_the_reference_is_left_for_the_worker_to_follow() -> None:
    """Nothing of the function itself is in the message: not its code, not its module's."""
    assert wire.pack_function(double) == (f"{__name__}:double",)


@pytest.mark.parametrize(
    ("function", "argument", "value"),
    [
        (lambda value: value + 1, 1, 2),
        (functools.partial(pow, 2), 10, 1024),
        (functools.partial(lambda a, b: a - b, 10), 3, 7),
        (Counter(5).add, 2, 7),
        (Counter.made, 4, 4),
        (Counter(5), 3, 8),
        (operator.itemgetter(1), "abc", "b"),
        ("-".join, ["a", "b"], "a-b"),
        ([3, 4].index, 4, 1),
    ],
)
def test_what_can_not_be_imported_goes_by_value(
    function: Callable[..., Any], argument: Any, value: object
) -> None:
    unpacked = wire.unpack_function(wire.pack_function(function))
    assert unpacked(argument) == value


def test_a_local_function_takes_along_what_it_closes_over() -> None:
    offset = 40

    def add(value: int) -> int:
        return value + offset

    name, python, _ = wire.pack_function(add)  # type: ignore[misc]
    assert name == "test_a_local_function_takes_along_what_it_closes_over.<locals>.add"
    assert python == sys.version_info[:2]
    assert wire.unpack_function(wire.pack_function(add))(2) == 42


def test_a_name_that_leads_to_another_function_is_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorated function's name leads to its wrapper, which is not what was submitted."""
    original = double
    monkeypatch.setattr(sys.modules[__name__], "double", functools.wraps(double)(lambda value: -value))
    assert wire.reference_to(original) is None
    assert wire.unpack_function(wire.pack_function(original))(4) == 8


@pytest.mark.parametrize("module", ["__main__", "__mp_main__"])
def test_a_function_of_a_script_goes_by_value(module: str, tmp_path: Path) -> None:
    """Every process has a `__main__` of its own: a reference would lead somewhere else."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from worker import wire\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "def double(point): return Point(2 * point.x)\n"
        "if __name__ == '__mp_main__':\n"  # as multiprocessing does it in a process that it spawned
        "    sys.modules['__main__'] = sys.modules['__mp_main__']\n"
        "function, argument = wire.pack_function(double), wire.pack_arguments((Point(3),), {})\n"
        "sys.stdout.buffer.write(wire.pickle.dumps((function, argument)))\n"
    )
    start = f"import runpy; runpy.run_path({str(script)!r}, run_name={module!r})"
    if module == "__mp_main__":
        start = (
            "import importlib.util as u, sys\n"
            f"spec = u.spec_from_file_location('__mp_main__', {str(script)!r})\n"
            "module = u.module_from_spec(spec); sys.modules['__mp_main__'] = module\n"
            "spec.loader.exec_module(module)\n"
        )
    command = [sys.executable, *([str(script)] if module == "__main__" else ["-c", start])]
    done = subprocess.run(
        command, capture_output=True, timeout=60, env={"PYTHONPATH": str(Path(wire.__file__).parents[1])}
    )
    assert done.returncode == 0, done.stderr.decode()
    function, argument = pickle.loads(done.stdout)
    args, kwargs = pickle.loads(argument)
    assert kwargs == {}
    result = wire.unpack_function(function)(*args)
    assert (type(result).__name__, result.x) == ("Point", 6)


def test_another_python_is_told_by_name_on_both_sides() -> None:
    """Code by value is bytecode, and that is of one Python version."""
    with pytest.raises(CallError, match=r"f was sent by value from Python 3\.1, .*put it in a module"):
        wire.unpack_function(("f", (3, 1), b"never read"))


def test_a_function_that_goes_by_value_without_code_fits_every_python() -> None:
    packed = wire.pack_function(functools.partial(math.pow, 2))
    assert packed[1:2] == (None,)


@pytest.mark.parametrize("reference", ["no_such_module:f", "math:no_such_function", "worker:", ":f", "x"])
def test_a_reference_that_leads_nowhere_says_what_to_do(reference: str) -> None:
    with pytest.raises(CallError, match=r"can't import .*give the workers the same code"):
        wire.unpack_function((reference,))


def test_a_function_that_can_not_be_loaded_says_what_to_do() -> None:
    with pytest.raises(CallError, match=r"can't load f: .*the same code and libraries"):
        wire.unpack_function(("f", None, b"no pickle"))


# Arguments and results.


@given(st.recursive(st.none() | st.integers() | st.binary() | st.text(), st.lists, max_leaves=20))
def test_a_value_arrives_as_it_was(value: object) -> None:
    assert pickle.loads(wire.dumps(value)) == value


def test_plain_pickle_does_what_it_can() -> None:
    value = {"a": [1, 2, Counter]}
    assert wire.dumps(value) == pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def test_what_plain_pickle_can_not_take_goes_by_value() -> None:
    @dataclass
    class Local:
        x: int

    back = pickle.loads(wire.dumps([Local(3), lambda: 4]))
    assert (back[0].x, back[1]()) == (3, 4)


def test_what_nothing_can_take_is_raised() -> None:
    with pytest.raises(TypeError, match="lock"):
        wire.dumps(threading.Lock())


# Errors.


@pytest.mark.parametrize("error", [LookupError("gone"), SystemExit(3), KeyboardInterrupt(), OSError(2, "no")])
def test_an_error_arrives_as_itself(error: BaseException) -> None:
    back = pickle.loads(wire.pack_error(error))
    assert type(back) is type(error)
    assert back.args == error.args


def test_an_error_that_can_not_be_read_again_becomes_one_that_can() -> None:
    back = pickle.loads(wire.pack_error(TwoPartsError("this", "that")))
    assert isinstance(back, CallError)
    assert "TwoPartsError: this and that (can't be pickled: TypeError" in str(back)


def test_an_error_that_can_not_be_pickled_becomes_one_that_can() -> None:
    back = pickle.loads(wire.pack_error(LockedError()))
    assert isinstance(back, CallError)
    assert "LockedError: locked (can't be pickled: " in str(back)


@pytest.mark.parametrize("raised", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_an_error_whose_pickling_ends_in_anything_becomes_one_that_can(raised: type[BaseException]) -> None:
    back = pickle.loads(wire.pack_error(ValueError("what", Refusing(raised))))
    assert isinstance(back, CallError)
    assert "ValueError" in str(back)


def test_an_error_that_can_not_even_say_what_it_is_becomes_one_that_can() -> None:
    error = MuteError(threading.Lock())
    back = pickle.loads(wire.pack_error(error))
    assert isinstance(back, CallError)
    assert "MuteError" in str(back)


class ImpostorError(Exception):
    """What is unpickled in its place is no exception."""

    def __reduce__(self) -> Any:
        return str, ("no exception",)


def test_an_error_that_turns_into_something_else_becomes_one_that_does_not() -> None:
    assert isinstance(pickle.loads(wire.pack_error(ImpostorError())), CallError)


# Messages.


class Channel:
    """As much of Kombu's as reading a message takes."""

    @staticmethod
    def decode_body(body: str, encoding: str) -> bytes:
        assert encoding == "base64"
        decoded: bytes = Base64().decode(body)
        return decoded


ids = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)


@given(ids, st.binary(max_size=200), st.text(max_size=50))
def test_a_message_is_what_kombu_reads(batch_id: str, payload: bytes, description: str) -> None:
    body = Key(bytes(32)).sign(payload)
    raw = json.loads(
        wire.envelope(
            batch_id, body, tag="t", queue="q", description=description, limits=(2.0, 1.0), origin="me"
        )
    )
    message = Message(raw, channel=Channel)
    assert message.body == body
    assert message.content_type == CONTENT_TYPE
    assert message.delivery_tag == "t"
    assert message.headers["id"] == batch_id
    assert message.headers["timelimit"] == [2.0, 1.0]
    assert message.headers["argsrepr"] == description


def test_a_reply_reads_well_in_flower() -> None:
    raised = (wire.RAISED, b"", "Traceback (most recent call last):\n  ...\nLookupError: no such thing\n")
    reply = Reply("b", "w", [(wire.RETURNED, b""), (wire.RETURNED, b""), raised], [(3, 0.1)])
    assert repr(reply) == "2 returned, 1 raised (LookupError: no such thing)"
    again = Reply("b", "w", [(wire.LOST, "3 times: signal 11 (SIGSEGV)")], [], deliveries=4)
    assert repr(again) == "1 lost (3 times: signal 11 (SIGSEGV)), begun 4 times"
    assert "taken apart" in repr(Reply("b", "w", [], [], suspect=True))
