"""The key is made once, for its owner alone, and shows itself nowhere; what it did not sign is not read."""

from __future__ import annotations

import copy
import os
import pickle
import stat
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.signing import Key, KeyFileError, SignatureError, key_file, load_key, make_key

SECRET = bytes(range(100, 132))
KEY = Key(SECRET)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.open, (self.path, os.O_CREAT | os.O_WRONLY)


def shows_secret(text: str, secret: bytes = SECRET) -> bool:
    return any(
        form in text for form in (repr(secret), repr(secret)[2:-1], secret.hex(), secret.decode("latin-1"))
    )


# The file.


def test_a_key_is_made_where_there_is_none_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "signing.key"
    old = os.umask(0)
    try:
        key = load_key(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_bytes()) == 32
    assert load_key(path).fingerprint() == key.fingerprint()
    assert os.listdir(path.parent) == ["signing.key"]  # noqa: PTH208 - names alone


def test_a_key_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_key(path)
    before = path.read_bytes()
    make_key(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_two_keys_differ(tmp_path: Path) -> None:
    one, other = load_key(tmp_path / "one"), load_key(tmp_path / "other")
    assert one.fingerprint() != other.fingerprint()
    with pytest.raises(SignatureError):
        other.loads(one.dumps("for one alone"))


def test_processes_that_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    """Whoever is faster: the file appears once, whole, and nobody reads half of it."""
    path = tmp_path / "key"
    start = threading.Barrier(8)
    found: list[str] = []

    def load() -> None:
        start.wait(30)
        found.append(load_key(path).fingerprint())

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
def test_a_key_that_others_can_reach_is_refused_and_left_alone(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=r"others can read the signing key .*; run: chmod 600 "):
        load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == SECRET


@pytest.mark.parametrize("size", [0, 1, 16, 31])
def test_a_file_that_is_too_short_is_no_key(tmp_path: Path, size: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(SECRET[:size])
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="too short; remove it"):
        load_key(path)


def test_a_path_that_can_not_be_used_is_told_with_the_variable_that_names_another(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "key"):
        with pytest.raises(KeyFileError, match="BREAKEVEN_KEY_FILE"):
            load_key(path)


def test_the_environment_names_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BREAKEVEN_KEY_FILE", str(tmp_path / "named"))
    assert key_file() == tmp_path / "named"
    monkeypatch.setenv("BREAKEVEN_KEY_FILE", "")
    assert key_file().name == "signing.key"


# The secret.


def test_a_key_shows_a_fingerprint_and_never_itself() -> None:
    assert repr(KEY) == str(KEY) == f"<Key {KEY.fingerprint()}>"
    assert not any(shows_secret(f"{form}") for form in (KEY, [KEY], {"key": KEY}))
    assert not hasattr(KEY, "__dict__")  # vars() has nothing to tell
    assert Key(SECRET).fingerprint() == KEY.fingerprint()


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_is_not_copied_into_anything_that_travels(copied: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="not to be pickled"):
        copied(KEY)


def test_no_error_shows_the_key_or_the_message(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(0o640)
    attempts: list[Callable[[], object]] = [
        lambda: load_key(path),
        lambda: KEY.loads(b"x" * 40 + b"a stranger's words"),
        lambda: KEY.loads("a stranger's words"),
        lambda: KEY.loads(KEY.sign(b"not a pickle: a stranger's words")),
        lambda: KEY.dumps(threading.Lock()),
    ]
    for attempt in attempts:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the texts are what is tested
            attempt()
        told = "".join(traceback.format_exception_only(caught.value))
        assert not shows_secret(told)
        assert "stranger" not in told


# The signature.


@given(st.binary(max_size=300))
def test_what_was_signed_is_returned(body: bytes) -> None:
    assert KEY.verify(KEY.sign(body)) == body


@given(st.recursive(st.none() | st.integers() | st.binary() | st.text(), st.lists, max_leaves=20))
def test_what_was_dumped_is_loaded(value: object) -> None:
    assert KEY.loads(KEY.dumps(value)) == value


def test_every_single_bit_counts() -> None:
    signed = KEY.dumps({"a": [1, 2.5, "three"]})
    for place in range(8 * len(signed)):
        flipped = bytearray(signed)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(SignatureError):
            KEY.verify(bytes(flipped))


@given(st.binary(max_size=60), st.data())
def test_a_body_that_is_cut_or_extended_is_refused(body: bytes, data: st.DataObject) -> None:
    signed = KEY.sign(body)
    changed = data.draw(
        st.integers(0, len(signed) - 1).map(lambda length: signed[:length])
        | st.binary(min_size=1, max_size=40).map(lambda more: signed + more)
        | st.binary(min_size=1, max_size=40).map(lambda more: more + signed)
    )
    with pytest.raises(SignatureError):
        KEY.verify(changed)


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(SignatureError):
        KEY.loads(garbage)


@given(st.binary(min_size=32, max_size=32).filter(lambda other: other != SECRET), st.binary(max_size=50))
def test_another_key_does_not_do(other: bytes, body: bytes) -> None:
    with pytest.raises(SignatureError):
        KEY.verify(Key(other).sign(body))


def test_nothing_is_unpickled_before_its_signature_was_found_right(tmp_path: Path) -> None:
    path = tmp_path / "ran"
    payload = pickle.dumps(Touch(path))
    for unsigned in (payload, bytes(32) + payload, Key(bytes(32)).sign(payload), KEY.sign(payload)[:-1]):
        with pytest.raises(SignatureError):
            KEY.loads(unsigned)
    assert not path.exists()
    os.close(KEY.loads(KEY.sign(payload)))
    assert path.exists()  # it is a payload that works


def test_text_is_never_read() -> None:
    with pytest.raises(SignatureError):
        KEY.loads(KEY.dumps("value").decode("latin-1"))
