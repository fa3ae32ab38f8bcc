"""A job: a function and what to call it with, whether it is one of the workloads or the user's own."""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from worker.call import Call
from worker.workloads import WORKLOADS

#: `--split` cuts the longest range into so many subtasks, and all others into subtasks of that size:
#: enough for any machine's cores to end at about the same time, few enough for their overhead not to show.
SUBTASKS = 64

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class InputError(Exception):
    """What the user gave can't be used; the message says why, and what would do instead."""


class CannotRunError(Exception):
    """A model can't run here, or a call failed on which all figures depend; the message says why."""


@dataclass(frozen=True)
class Job:
    """A function, and the arguments of each call.

    Attributes:
        name: the workload's name, or `module:function`.
        function: the plain function; None if there is none.
        async_function: the coroutine function; None if there is none.
        arguments: positional and keyword arguments of each call.
        expected: the result of each call, or of each sum of parts; empty where it is not known.
        part_of: with `split`, for each call the index of the input that it is a part of; otherwise empty.
        wholes: with `split`, each input as source text; otherwise empty.
        needs_server: the arguments are delays, which `served` turns into URLs.
    """

    name: str
    function: Callable[..., Any] | None
    async_function: Callable[..., Any] | None
    arguments: Sequence[Arguments]
    expected: Sequence[Any] = ()
    part_of: Sequence[int] = ()
    wholes: Sequence[str] = ()
    needs_server: bool = False

    def calls(self, *, asynchronous: bool = False) -> list[Call]:
        """Return the calls, of the coroutine function if `asynchronous`, else of the plain one.

        Raises:
            ValueError: there is no such function.
        """
        function = self.async_function if asynchronous else self.function
        if function is None:
            raise ValueError(f"{self.name} has no {'coroutine' if asynchronous else 'plain'} function")
        return [Call(function, args, kwargs) for args, kwargs in self.arguments]

    def labels(self) -> list[str]:
        """Return each call as source text."""
        return [str(call) for call in self.calls(asynchronous=self.function is None)]


def job(
    name: str,
    *,
    inputs: str | None = None,
    quick: bool = False,
    split: bool = False,
    tasks: int | None = None,
) -> Job:
    """Make the job that the user asks for.

    Args:
        name: a workload, or `module:function`, imported from the current directory.
        inputs: a file of JSON lines with the arguments of each call; `-` is standard input. Without one, a
            workload brings its own.
        quick: take a workload's smaller inputs.
        split: cut the ranges of `sum` into subtasks of equal size.
        tasks: how many calls; the inputs are repeated, or cut, to that number.

    Raises:
        InputError: no such workload, module, function or file; or inputs that can't be used.
    """
    made = _own(name) if ":" in name else _workload(name, quick=quick)
    if inputs is not None:
        made = replace(made, arguments=list(read_inputs(inputs)), expected=(), needs_server=False)
        if not made.arguments:
            raise InputError(f"{_called(inputs)} has no inputs: it needs a JSON array or object on each line")
    if not made.arguments:
        raise InputError(f"{name} needs inputs: --inputs FILE, with a JSON array or object on each line")
    if split:
        made = _split(made)
    if tasks is not None:
        if split:
            raise InputError("--tasks and --split exclude each other: --split makes the tasks")
        made = _cycled(made, tasks)
    return made


def _workload(name: str, *, quick: bool) -> Job:
    try:
        workload = WORKLOADS[name]
    except KeyError:
        hint = nearest(name, WORKLOADS) or f"there are {', '.join(WORKLOADS)}, and module:function"
        raise InputError(f"there is no workload {name!r}: {hint}") from None
    small = quick and workload.quick_inputs
    given = workload.quick_inputs if small else workload.inputs
    arguments: list[Arguments] = [((), item) if isinstance(item, dict) else (item, {}) for item in given]
    return Job(
        name,
        workload.function,
        workload.async_function,
        arguments,
        workload.quick_expected if small else workload.expected,
        needs_server=workload.needs_server,
    )


def _own(reference: str) -> Job:
    function = load_function(reference)
    if is_asynchronous(function):
        return Job(reference, None, function, ())
    return Job(reference, function, None, ())


def is_asynchronous(function: Callable[..., Any]) -> bool:
    """Tell whether calls of `function` have to be awaited: an `async def`, or an object whose call is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - whether it can be called is known
    )


def load_function(reference: str) -> Callable[..., Any]:
    """Import `module:function`, looking in the current directory first.

    Raises:
        InputError: there is no such module or function, importing it fails, or other processes could not
            find it again.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise InputError(f"{reference!r} is not of the form module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(f"cannot import {module_name}: {error}") from error
        stems = [path.stem for path in Path.cwd().glob("*.py")]
        hint = nearest(module_name, stems) or "it is looked for in the current directory and on PYTHONPATH"
        raise InputError(f"there is no module {module_name!r}: {hint}") from None
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise InputError(f"cannot import {module_name}: {type(error).__name__}: {error}") from error
    function: Any = module
    for part in name.split("."):
        try:
            function = getattr(function, part)
        except AttributeError:
            names = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
            hint = (
                nearest(name, names) or f"{module_name} has {', '.join(sorted(names)[:8]) or 'no functions'}"
            )
            raise InputError(f"{module_name} has no function {name!r}: {hint}") from None
    if not callable(function):
        raise InputError(f"{reference} is not a function but of type {type(function).__name__}")
    try:
        pickle.dumps(function)
    except Exception as error:
        raise InputError(
            f"{reference} can't be found again by other processes: "
            f"define it with `def` at the top level of {module_name} ({error})"
        ) from None
    result: Callable[..., Any] = function
    return result


def read_inputs(source: str) -> Iterator[Arguments]:
    """Read the arguments of one call after the other from a file of JSON lines; `-` is standard input.

    A line is an array (positional arguments) or an object (keyword arguments). Blank lines are skipped.

    Raises:
        InputError: there is no such file, or one of its lines is something else.
    """
    if source == "-":
        yield from parse_inputs(sys.stdin.buffer, _called(source))
        return
    path = Path(source)
    try:
        with path.open("rb") as lines:
            yield from parse_inputs(lines, _called(source))
    except FileNotFoundError:
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, names)
        raise InputError(f"there is no file {source}" + (f": {hint}" if hint else "")) from None
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror or error}") from None


def parse_inputs(lines: Iterable[bytes] | IO[bytes], name: str) -> Iterator[Arguments]:
    """Parse JSON lines; `name` is what an error calls their source.

    Raises:
        InputError: a line is not a JSON array or object.
    """
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not line:
                continue
            value = json.loads(line)
        except UnicodeDecodeError:
            raise InputError(f"{name}, line {number}: not UTF-8 text") from None
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(f"{name}, line {number}: not JSON ({reason}): {_excerpt(line)}") from None
        if isinstance(value, list):
            yield tuple(value), {}
        elif isinstance(value, dict):
            yield (), value
        else:
            raise InputError(
                f"{name}, line {number}: must be an array (positional arguments) or an object "
                f"(keyword arguments): {_excerpt(line)}"
            )


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return a question that offers the name the user may have meant; None if none is near."""
    found = difflib.get_close_matches(name, list(names), 1)
    return f"did you mean {found[0]!r}?" if found else None


def _called(source: str) -> str:
    return "standard input" if source == "-" else source


def _excerpt(line: str) -> str:
    return line if len(line) <= 40 else f"{line[:37]}..."


def _split(whole: Job) -> Job:
    if whole.name != "sum":
        raise InputError(f"--split cuts ranges, which only the workload sum has; {whole.name} has none")
    try:
        ranges = [_range(*args, **kwargs) for args, kwargs in whole.arguments]
    except TypeError as error:
        raise InputError(f"--split: an input is not a range: {error}") from None
    size = max(1, -(-max(n - start + 1 for n, start in ranges) // SUBTASKS))
    arguments: list[Arguments] = []
    part_of = []
    for index, (n, start) in enumerate(ranges):
        for first in range(start, max(n, start) + 1, size):  # one for an empty range, too
            arguments.append(((min(first + size - 1, n), first), {}))
            part_of.append(index)
    return replace(whole, arguments=arguments, part_of=part_of, wholes=whole.labels())


def _range(n: int, start: int = 1) -> tuple[int, int]:
    if not isinstance(n, int) or not isinstance(start, int):
        raise TypeError(f"{start!r} to {n!r}")
    return n, start


def _cycled(some: Job, tasks: int) -> Job:
    count = len(some.arguments)
    return replace(
        some,
        arguments=[some.arguments[i % count] for i in range(tasks)],
        expected=[some.expected[i % count] for i in range(tasks)] if some.expected else (),
    )


@contextmanager
def served(some: Job) -> Iterator[Job]:
    """Start the HTTP server if the job needs it, and put its URLs in the place of the delays."""
    if not some.needs_server:
        yield some
        return
    from producer.http_server import serving

    with serving() as url:
        urls: list[Arguments] = [((f"{url}/{args[0]}",), kwargs) for args, kwargs in some.arguments]
        yield replace(some, arguments=urls, needs_server=False)
