"""What runs first in a container: secrets are made once, for this user alone, and health is an age."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "container.py"


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """deploy/container.py, in an environment that is put back afterwards."""
    specification = importlib.util.spec_from_file_location("container", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return module


@pytest.fixture
def secrets(entry: ModuleType, tmp_path: Path) -> Path:
    """A directory with the secrets in it."""
    directory = tmp_path / "secrets"
    directory.mkdir()
    entry.make_secrets(directory)
    return directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_secrets_are_made_and_no_draft_is_left(secrets: Path) -> None:
    assert {path.name for path in secrets.iterdir()} == {
        *("signing.key", "flower.password", "redis.password", "redis.acl")
    }


@pytest.mark.parametrize("name", ["signing.key", "flower.password", "redis.password"])
def test_a_secret_is_for_its_user_alone(secrets: Path, name: str) -> None:
    assert mode(secrets / name) == 0o600


def test_a_secret_is_for_its_user_alone_whatever_the_umask(entry: ModuleType, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        entry.make(tmp_path / "key", b"secret")
    finally:
        os.umask(before)
    assert mode(tmp_path / "key") == 0o600


def test_the_brokers_users_can_be_read_by_the_broker_whatever_the_umask(
    entry: ModuleType, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        entry.make_secrets(tmp_path)
    finally:
        os.umask(before)
    assert mode(tmp_path / "redis.acl") == 0o644


def test_secrets_are_made_once(entry: ModuleType, secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    entry.make_secrets(secrets)
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before


def test_a_missing_secret_is_made_beside_the_others(entry: ModuleType, secrets: Path) -> None:
    key = (secrets / "signing.key").read_bytes()
    (secrets / "flower.password").unlink()
    entry.make_secrets(secrets)
    assert (secrets / "flower.password").exists()
    assert (secrets / "signing.key").read_bytes() == key


def test_no_two_clusters_have_a_secret_in_common(entry: ModuleType, secrets: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    entry.make_secrets(other)
    for path in secrets.iterdir():
        assert path.read_bytes() != (other / path.name).read_bytes()


def test_the_brokers_users_hold_the_passwords_digest_and_not_the_password(secrets: Path) -> None:
    password = (secrets / "redis.password").read_bytes()
    users = (secrets / "redis.acl").read_bytes()
    assert hashlib.sha256(password).hexdigest().encode() in users
    assert password not in users


def test_a_draft_of_a_run_that_was_killed_is_in_nobodys_way(entry: ModuleType, tmp_path: Path) -> None:
    (tmp_path / f".key.{os.getpid()}").write_bytes(b"half")
    entry.make(tmp_path / "key", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"whole"


def test_a_command_gets_the_secrets_in_its_environment(secrets: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(SCRIPT),
            sys.executable,
            "-c",
            "import os; print(os.environ['CELERY_BROKER_URL'])",
        ],
        env={"PATH": os.environ["PATH"], "BREAKEVEN_SECRETS": str(secrets)},
        capture_output=True,
        text=True,
        check=True,
    )
    password = (secrets / "redis.password").read_text()
    assert done.stdout == f"redis://breakeven:{password}@redis:6379/0\n"


def test_a_broker_that_is_named_already_is_kept(entry: ModuleType, secrets: Path) -> None:
    os.environ["CELERY_BROKER_URL"] = "redis://elsewhere:6379/0"
    entry.add_secrets(secrets)
    assert os.environ["CELERY_BROKER_URL"] == "redis://elsewhere:6379/0"


def test_the_key_is_named_where_it_is(entry: ModuleType, secrets: Path) -> None:
    entry.add_secrets(secrets)
    assert os.environ["BREAKEVEN_KEY_FILE"] == str(secrets / "signing.key")


def test_a_key_that_others_can_read_is_copied_for_this_user_alone(entry: ModuleType, secrets: Path) -> None:
    """Kubernetes mounts secrets readable by the group; the worker refuses such a key."""
    (secrets / "signing.key").chmod(0o640)
    entry.add_secrets(secrets)
    copy = Path(os.environ["BREAKEVEN_KEY_FILE"])
    assert copy != secrets / "signing.key"
    assert mode(copy) == 0o600
    assert mode(copy.parent) == 0o700
    assert copy.read_bytes() == (secrets / "signing.key").read_bytes()


def test_without_secrets_a_command_runs_all_the_same(entry: ModuleType, tmp_path: Path) -> None:
    entry.add_secrets(tmp_path)
    assert not {"BREAKEVEN_KEY_FILE", "CELERY_BROKER_URL", "FLOWER_BASIC_AUTH"} & set(os.environ)


def test_flowers_password_is_shown_once(
    entry: ModuleType, secrets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.environ["FLOWER_DB"] = str(tmp_path / "flower.db")
    entry.add_secrets(secrets)
    capsys.readouterr()
    entry.show_flower_password()
    entry.show_flower_password()
    password = (secrets / "flower.password").read_text()
    assert (
        capsys.readouterr().out == f"Flower: http://127.0.0.1:5555  user: breakeven  password: {password}\n"
    )


@pytest.mark.parametrize(("age", "code"), [(0, 0), (29, 0), (31, 1), (3600, 1)])
def test_a_worker_is_healthy_while_its_heartbeat_is_young(
    entry: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, code: int
) -> None:
    beat = tmp_path / "heartbeat"
    beat.touch()
    monkeypatch.setattr(entry.time, "time", lambda: beat.stat().st_mtime + age)
    os.environ["BREAKEVEN_HEARTBEAT_FILE"] = str(beat)
    with pytest.raises(SystemExit) as raised:
        entry.main(["healthy", "30"])
    assert raised.value.code == code


@pytest.mark.parametrize("named", [True, False])
def test_a_worker_without_a_heartbeat_is_not_healthy(entry: ModuleType, tmp_path: Path, named: bool) -> None:
    if named:
        os.environ["BREAKEVEN_HEARTBEAT_FILE"] = str(tmp_path / "never")
    with pytest.raises(SystemExit) as raised:
        entry.main(["healthy", "30"])
    assert raised.value.code == 1


def test_no_command_shows_what_there_is(entry: ModuleType) -> None:
    with pytest.raises(SystemExit, match="breakeven secrets DIRECTORY"):
        entry.main([])
