"""The clone's environment is made when it has to be, and nothing else is ever deleted for it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/environment.py, for a clone in a directory of its own."""
    specification = importlib.util.spec_from_file_location("environment", ROOT / "tools" / "environment.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "pyproject.toml").write_text('[project]\nname = "breakeven"\n[tool.ruff]\nline-length = 110\n')
    (clone / "uv.lock").write_text("locked\n")
    monkeypatch.setattr(module, "ROOT", clone)
    return module


def made(tool: ModuleType) -> Path:
    """An environment in which the project is installed, as far as its interpreter can tell."""
    environment: Path = tool.ROOT / ".venv"
    tool.create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "breakeven-0.dist-info").mkdir()
    (packages / "breakeven-0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: breakeven\nVersion: 0\n"
    )
    return environment


def stamped(tool: ModuleType, environment: Path, *groups: str) -> None:
    content = {"source": tool.fingerprint(environment), "groups": groups}
    (environment / "stamp.json").write_text(json.dumps(content))


@pytest.fixture
def installed(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What `install` was asked for; the real one needs a package index."""
    asked: list[set[str]] = []

    def install(environment: Path, groups: set[str]) -> None:
        assert not (environment / "stamp.json").exists()  # an interrupted one vouches for nothing
        asked.append(groups)

    monkeypatch.setattr(tool, "install", install)
    return asked


def test_an_environment_that_fits_is_left_alone(tool: ModuleType, installed: list[set[str]]) -> None:
    environment = made(tool)
    stamped(tool, environment, "build", "dev")
    tool.prepare(environment, {"build", "dev"})
    assert installed == []


def test_a_further_group_is_added_to_those_that_are_there(
    tool: ModuleType, installed: list[set[str]]
) -> None:
    environment = made(tool)
    stamped(tool, environment, "build", "dev")
    tool.prepare(environment, {"build", "e2e"})
    assert installed == [{"build", "dev", "e2e"}]
    assert (environment / "lib").exists()


def test_an_environment_is_made_where_there_is_none(tool: ModuleType, installed: list[set[str]]) -> None:
    environment = tool.ROOT / ".venv"
    tool.prepare(environment, {"build"})
    assert installed == [{"build"}]
    assert json.loads((environment / "stamp.json").read_text())["groups"] == ["build"]


def test_an_environment_without_a_stamp_is_made_anew(tool: ModuleType, installed: list[set[str]]) -> None:
    environment = made(tool)
    tool.prepare(environment, {"build"})
    assert installed == [{"build"}]
    assert not list(environment.glob("lib/python*/site-packages/breakeven*"))


def test_an_environment_whose_project_is_gone_is_made_anew(
    tool: ModuleType, installed: list[set[str]]
) -> None:
    environment = tool.ROOT / ".venv"
    tool.create(environment)
    stamped(tool, environment, "build")
    tool.prepare(environment, {"build"})
    assert installed == [{"build"}]


def test_a_free_threaded_python_is_given_all_but_what_it_can_do_without(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = (ROOT / "requirements" / "runtime.txt").read_text()
    monkeypatch.setattr(sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    left = tool.without(locked, tool.left_out())
    assert set(left.splitlines()) < set(locked.splitlines())
    names = [re.findall(r"^([\w-]+)==", text, flags=re.MULTILINE) for text in (locked, left)]
    assert set(names[0]) - set(names[1]) == {"hdrhistogram", "hiredis", "vl-convert-python"}


def test_an_environment_works_if_its_interpreter_finds_the_project(tool: ModuleType) -> None:
    assert tool.works(made(tool))


def test_an_environment_without_an_interpreter_does_not_work(tool: ModuleType, tmp_path: Path) -> None:
    assert not tool.works(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "same"),
    [
        ("uv.lock", "another lock\n", False),
        ("pyproject.toml", '[project]\nname = "breakeven"\ndependencies = ["x"]\n[tool]\n', False),
        ("pyproject.toml", '[project]\nname = "breakeven"\n[tool.ruff]\nline-length = 80\n', True),
    ],
)
def test_the_fingerprint_changes_with_what_is_installed_and_with_nothing_else(
    tool: ModuleType, file: str, content: str, same: bool
) -> None:
    before = tool.fingerprint(tool.ROOT / ".venv")
    (tool.ROOT / file).write_text(content)
    assert (tool.fingerprint(tool.ROOT / ".venv") == before) is same


def test_the_fingerprint_is_of_one_place(tool: ModuleType) -> None:
    """Scripts hold absolute paths: a moved environment is broken."""
    assert tool.fingerprint(tool.ROOT / ".venv") != tool.fingerprint(tool.ROOT / ".venv-3.13")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"source": "other", "groups": ["dev"]}', '{"source": 1}']
)
def test_a_stamp_that_does_not_fit_vouches_for_nothing(
    tool: ModuleType, tmp_path: Path, content: str
) -> None:
    (tmp_path / "stamp.json").write_text(content)
    assert tool.installed_groups(tmp_path / "stamp.json", "source") == set()


@pytest.mark.parametrize("place", ["clone/tests", "clone/.git", "elsewhere"])
def test_a_directory_that_is_no_environment_is_never_deleted(
    tool: ModuleType, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / place
    directory.mkdir()
    (directory / "work.txt").write_text("of weeks\n")
    with pytest.raises(SystemExit):
        tool.create(directory)
    assert (directory / "work.txt").read_text() == "of weeks\n"
    assert "is not empty and no virtual environment: name another with VENV=" in capsys.readouterr().err


def test_a_half_made_environment_of_the_clone_is_replaced(tool: ModuleType) -> None:
    environment = tool.ROOT / ".venv-3.13"
    environment.mkdir()
    (environment / "half").touch()
    tool.create(environment)
    assert (environment / "pyvenv.cfg").exists()
    assert not (environment / "half").exists()


def test_a_link_is_replaced_and_what_it_points_to_is_not(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "work.txt").touch()
    environment = tool.ROOT / ".venv"
    environment.symlink_to(tmp_path / "kept")
    tool.create(environment)
    assert not environment.is_symlink()
    assert (tmp_path / "kept" / "work.txt").exists()


def test_what_a_shell_may_have_set_misleads_nobody(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example")
    assert "PYTHONPATH" not in tool.clean()
    assert tool.clean()["PIP_INDEX_URL"] == "https://index.example"


def test_a_command_that_fails_ends_it_with_exit_code_2(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        tool.run([sys.executable, "-c", "raise SystemExit(7)"])
    assert raised.value.code == 2
    assert "ended with 7" in capsys.readouterr().err


def test_make_names_the_python_that_is_not_there() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "test", "PYTHON=/no/such/python3"],  # noqa: S607 - whichever make there is
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no Python 3.11 or later was found as /no/such/python3: name one with make PYTHON=" in done.stderr
