"""Makes the clone's virtual environment and brings it up to date; does nothing when it is.

    python3 tools/environment.py DIRECTORY [GROUP...]

The project's dependencies, exactly as uv.lock pins them, and those of each dependency GROUP of
pyproject.toml (build is always among them) go into the environment DIRECTORY, and the project itself
in editable form. `uv` does it where it is installed; otherwise pip does, from requirements/*.txt,
which hold the same versions with their hashes. Nothing outside DIRECTORY is changed.

A stamp in the environment, written last, names everything it was made from. Without a stamp that
fits (interrupted, moved with its clone, another Python, another lock) the environment is made anew,
since nothing in it can be trusted. Only the standard library is used, of Python 3.11 and later.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent

# Not sys.executable: that may be of an activated environment, perhaps the one to be made anew.
PYTHON: str = getattr(sys, "_base_executable", sys.executable)

# What a user's shell may hold that would make Python or an installer look, or install, elsewhere.
# Settings of a package index or of certificates stay: they may be needed.
MISLEADING = (
    *("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__"),
    *("VIRTUAL_ENV", "CONDA_PREFIX"),
    *("PIP_REQUIRE_VIRTUALENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON"),
    *("PIP_NO_DEPS", "PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_EDITABLE", "PIP_DRY_RUN", "PIP_NO_BINARY"),
    *("UV_PROJECT", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_OVERRIDE"),
)

# What a free-threaded Python does without: the project can, and no marker tells such a Python apart.
# Two have no wheel for it. To import hiredis would turn its GIL on; redis-py reads without it.
NOT_FREE_THREADED = ("hdrhistogram", "hiredis", "vl-convert-python")


def main() -> None:
    """Make the environment that the command line asks for."""
    environment = Path(sys.argv[1]).absolute()
    groups = {"build", *sys.argv[2:]}
    # One at a time: `make test` and `make compare` may be started together in a new clone.
    with (ROOT / "pyproject.toml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare(environment, groups)


def prepare(environment: Path, groups: set[str]) -> None:
    """Bring `environment` to hold the dependencies of `groups`.

    Args:
        environment: the virtual environment's directory.
        groups: dependency groups; others that are installed already stay.
    """
    stamp = environment / "stamp.json"
    source = fingerprint(environment)
    present = installed_groups(stamp, source)
    if not works(environment):
        present = set()
    if groups <= present:
        return
    wanted = groups | present
    version = sys.version.split()[0]
    print(
        f"Setting up {environment.name} with Python {version} (about half a minute) …",
        file=sys.stderr,
        flush=True,
    )
    if present:
        stamp.unlink()
    else:
        create(environment)
    install(environment, wanted)
    stamp.write_text(json.dumps({"source": source, "groups": sorted(wanted)}))


def fingerprint(environment: Path) -> str:
    """Return a digest of all that an environment is made from: the lock, the interpreter, the place."""
    digest = hashlib.sha256()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    del project["tool"]  # settings of tools install nothing
    digest.update(repr(project).encode())
    digest.update((ROOT / "uv.lock").read_bytes())
    # The place, because scripts and the editable install hold absolute paths.
    for text in (sys.version, sys.base_prefix, str(ROOT), str(environment), *left_out()):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def installed_groups(stamp: Path, source: str) -> set[str]:
    """Return the groups that `stamp` vouches for; empty if it is missing or speaks of another source."""
    try:
        content = json.loads(stamp.read_text())
        return set(content["groups"]) if content["source"] == source else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def works(environment: Path) -> bool:
    """Tell whether the environment's interpreter starts and finds what was installed there."""
    python = str(environment / "bin" / "python")
    command = [python, "-I", "-c", "import importlib.metadata as m; m.version('breakeven')"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def create(environment: Path) -> None:
    """Make an empty environment, in place of whatever is there."""
    if environment.is_symlink() or environment.is_file():
        environment.unlink()
    elif environment.exists():
        half_made = environment.parent == ROOT and environment.name.startswith(".venv")
        ours = half_made or (environment / "pyvenv.cfg").exists()
        if not ours and any(environment.iterdir()):
            stop(f"{environment} is not empty and no virtual environment: name another with VENV=")
        shutil.rmtree(environment)
    # Without pip, because Debian's Python can't put one in; the interpreter's own does the work.
    run([PYTHON, "-m", "venv", "--without-pip", str(environment)])


def install(environment: Path, groups: set[str]) -> None:
    """Install the locked dependencies and the project."""
    python = str(environment / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        named = [option for group in sorted(groups) for option in ("--group", group)]
        sync = [uv, "sync", "--locked", "--quiet", "--no-install-project", "--no-default-groups"]
        named += [option for name in left_out() for option in ("--no-install-package", name)]
        run([*sync, "--python", python, *named], UV_PROJECT_ENVIRONMENT=str(environment))
        installer = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        installer = [*find_pip(environment), "install", "-qq", "--disable-pip-version-check", "--no-input"]
        files = [ROOT / "requirements" / f"{name}.txt" for name in ("runtime", *sorted(groups))]
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            wanted.write(without("".join(file.read_text() for file in files), left_out()))
            wanted.flush()
            run([*installer, "--require-hashes", "--only-binary", ":all:", "--requirement", wanted.name])
    run([*installer, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])


def left_out() -> tuple[str, ...]:
    """Return the dependencies that this Python does without."""
    return NOT_FREE_THREADED if sysconfig.get_config_var("Py_GIL_DISABLED") else ()


def without(requirements: str, names: Sequence[str]) -> str:
    """Return requirements but for some, each of which has its hashes on indented lines of its own."""
    every = re.split(r"^(?=\S)", requirements, flags=re.MULTILINE)
    return "".join(one for one in every if one.partition("==")[0] not in names)


def find_pip(environment: Path) -> list[str]:
    """Return a command that is a pip which installs into `environment`."""
    python = str(environment / "bin" / "python")
    candidates: list[list[str]] = [[PYTHON, "-m", "pip"]]
    candidates += [[found] for name in ("pip3", "pip") if (found := shutil.which(name))]
    for candidate in candidates:
        command = [*candidate, "--python", python]
        if quiet([*command, "--version"]):
            return command
    if quiet([python, "-m", "ensurepip"]):
        return [python, "-m", "pip"]
    return stop("no pip was found: install one (for example: apt install python3-pip), or uv")


def quiet(command: list[str]) -> bool:
    """Run `command` unseen and tell whether it succeeded."""
    return subprocess.run(command, env=clean(), capture_output=True, check=False).returncode == 0


def run(command: list[str], **variables: str) -> None:
    """Run `command`; end with its exit code if it fails, since it has said why."""
    code = subprocess.run(command, env=clean() | variables, cwd=ROOT, check=False).returncode
    if code:
        stop(f"setting up failed: {' '.join(command[:4])} … ended with {code}")


def clean() -> dict[str, str]:
    """Return the process environment without what would mislead."""
    return {name: value for name, value in os.environ.items() if name not in MISLEADING}


def stop(message: str) -> NoReturn:
    """Say one line and end."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
