"""The image: what is in it, and what is not."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from containers import IMAGE, ROOT, Engine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # whichever comes first has it built


@pytest.fixture(scope="module")
def image(engine: Engine) -> dict[str, Any]:
    (found,) = json.loads(engine.docker("image", "inspect", IMAGE))
    return found


def in_image(engine: Engine, *command: str) -> str:
    locked_up = ("--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "--entrypoint", command[0])
    return engine.docker("run", *locked_up, IMAGE, *command[1:])


def test_it_runs_as_a_user_without_rights(engine: Engine, image: dict[str, Any]) -> None:
    assert image["Config"]["User"] == "10001:10001"
    assert in_image(engine, "id", "-u").strip() == "10001"


def test_its_labels_say_what_it_is(image: dict[str, Any]) -> None:
    labels = image["Config"]["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "org.opencontainers.image."
    assert labels[prefix + "title"] == project["name"]
    assert labels[prefix + "version"] == project["version"]
    assert labels[prefix + "licenses"] == project["license"]
    assert labels[prefix + "description"]
    assert {prefix + "revision", prefix + "created"} <= set(labels)


def test_it_holds_no_build_tools(engine: Engine) -> None:
    script = "cd /opt/breakeven; ls bin lib/python3*/site-packages; which gcc cc make uv hatchling; true"
    names = set(in_image(engine, "sh", "-c", script).split())
    assert {"producer", "celery", "breakeven"} <= names
    unwanted = {"pip", "uv", "hatchling", "setuptools", "gcc", "cc", "make", "pytest", "ruff"}
    assert not {name for name in names if name.rpartition("/")[2] in unwanted}


def test_it_holds_the_code_and_nothing_else_of_the_repository(engine: Engine) -> None:
    names = "-name compose.yaml -o -name uv.lock -o -name .git -o -name e2e"
    assert in_image(engine, "sh", "-c", f"find / -xdev \\( {names} \\) 2>/dev/null; true").split() == []


def test_it_holds_no_secret(image: dict[str, Any], engine: Engine) -> None:
    assert in_image(engine, "sh", "-c", "ls -A /run/breakeven") == ""
    assert not [word for word in image["Config"]["Env"] if "PASSWORD" in word or "KEY" in word]


def test_it_has_the_newest_python_with_an_interpreter_pool(engine: Engine) -> None:
    script = "import sys, concurrent.futures as f; print(sys.version_info[:2], f.InterpreterPoolExecutor)"
    assert in_image(engine, "python", "-c", script).startswith("(3, 14)")


def test_the_user_s_code_can_t_hide_the_image_s(engine: Engine) -> None:
    script = (
        "import sys; print(sys.path.index('/code') > max(i for i, p in enumerate(sys.path) if 'lib' in p))"
    )
    assert in_image(engine, "/opt/breakeven/bin/python", "-I", "-c", script).strip() == "True"
