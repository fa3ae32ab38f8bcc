"""A result: what an experiment measured, and what is needed to understand it later.

Saved as JSON. Reports are made from it, and from nothing else.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from producer.measurement.environment import Environment
from producer.measurement.noise import Noise
from producer.measurement.trace import Trace, from_columns, to_columns

#: Raised with every change that an older reader would misunderstand.
FORMAT = 2

R = TypeVar("R", bound="Result")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What all experiments' results have in common; each is a subclass with its own figures.

    Attributes:
        experiment: the name of the command that made it.
        environment: where it ran.
        began: when, in seconds since the epoch.
        models: every model that was asked for, in the order of the report.
        settings: the options that it ran with; `workers`, how many a pool was given, is among them.
        command: what reproduces it, word by word; empty where no command line made it.
        unavailable: why a model did not run, for those that did not.
        notes: what a reader should know, in sentences.
        interrupted: whether it was stopped before its end.
        noise: what else the machine did while it was measured; None where that is told of each part, or some
            of the processes involved are not known.
    """

    experiment: ClassVar[str]

    environment: Environment
    began: float
    models: tuple[str, ...]
    settings: dict[str, Any]
    command: tuple[str, ...] = ()
    unavailable: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    noise: Noise | None = None


def save(result: Result, path: Path) -> None:
    """Write a result to `path` as JSON, in ASCII: whoever reads it may have another locale.

    Raises:
        OSError: the file can't be written.
    """
    write(path, (to_json(result) + "\n").encode("ascii"))


def write(path: Path, content: bytes) -> None:
    """Write a file at once: whoever reads `path` finds what was there before, or all of `content`.

    Raises:
        OSError: the file can't be written.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a device, or a pipe, can't be replaced
        return
    path = path.resolve()  # where a link leads
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def to_json(result: Result) -> str:
    """Return what `save` writes."""
    fields = msgspec.to_builtins(result, enc_hook=_encode)
    document = {"experiment": result.experiment, "format": FORMAT, **fields}
    # Not msgspec's own encoder: that writes UTF-8, and has no infinity.
    return json.dumps(document, separators=(",", ":"))


def load(path: Path, kind: type[R]) -> R:
    """Read the result of one experiment that `save` wrote.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds something else, the result of another experiment, or one of another format.
    """
    document = read(path)
    if document["experiment"] != kind.experiment:
        raise ValueError(f"{path} is a result of {document['experiment']}, not of {kind.experiment}")
    return convert(document, kind, path)


def read(path: Path) -> dict[str, Any]:
    """Return what a saved result holds, after a look at its format; `convert` makes a `Result` of it.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds something else, or a result of another format.
    """
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a saved result") from error
    if not isinstance(document, dict) or "format" not in document:
        raise ValueError(f"{path} is not a saved result")
    if not isinstance(document.get("experiment", ""), str):
        raise ValueError(f"{path} is not a saved result")  # noqa: TRY004 - the file's fault, not the caller's
    if document["format"] != FORMAT:
        raise ValueError(
            f"{path} was saved in format {document['format']}; this version reads format {FORMAT}"
        )
    if "experiment" not in document:
        raise ValueError(f"{path} is not a saved result")
    return document


def convert(document: dict[str, Any], kind: type[R], path: Path) -> R:
    """Make a result of what `read` returned; `path` is what an error calls it.

    Raises:
        ValueError: something is missing, or of the wrong type.
    """
    try:
        result: R = msgspec.convert(document, kind, dec_hook=_decode)
    except (msgspec.ValidationError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a saved result of {kind.experiment}: {error}") from error
    return result


def _encode(value: Any) -> Any:
    if isinstance(value, Trace):
        return to_columns(value)
    raise NotImplementedError(f"{type(value).__name__} can't be saved")


def _decode(kind: type, value: Any) -> Any:
    if kind is Trace:
        return from_columns(value)
    raise NotImplementedError(f"{kind.__name__} can't be loaded")
