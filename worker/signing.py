"""Signed messages: nothing is unpickled that was not made with the cluster's key.

Arguments and results are pickled, as `concurrent.futures.ProcessPoolExecutor` does it, and a pickle is
a program. So every body that crosses the broker, in either direction, is

    32 bytes HMAC-SHA256(key, pickle)  |  pickle

and is read only after its code was found right. Whoever can write to the broker but lacks the key can
run nothing. (What such a writer still can do: see docs/security.md.)

The key is a file that every process of a cluster can read. It is never in an argument list, in an
environment variable, in a log or in an error message.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import pickle
import secrets
from pathlib import Path
from typing import Any

import platformdirs
from kombu import serialization

#: The serializer's name in Celery's settings, and the content type that it stands for.
SERIALIZER = "breakeven-signed"
CONTENT_TYPE = "application/x-breakeven-signed"

#: The environment variable that names the key's file.
KEY_FILE_VARIABLE = "BREAKEVEN_KEY_FILE"

_DIGEST = "sha256"
_DIGEST_BYTES = 32
_KEY_BYTES = 32


class SignatureError(ValueError):
    """A message is not signed with this cluster's key, or was changed on its way."""


class KeyFileError(Exception):
    """The key file can't be used; the message says why and what to do."""


class Key:
    """The cluster's secret: signs and checks messages, and never shows itself.

    Args:
        secret: at least 16 bytes that nobody else knows.
    """

    __slots__ = ("_keyed",)

    def __init__(self, secret: bytes) -> None:
        # Copied for each message. Not hmac.digest: that lets go of the GIL, and a busy thread waits for it
        # far longer than a short message takes.
        self._keyed = hmac.new(secret, digestmod=_DIGEST)

    def __repr__(self) -> str:
        return f"<Key {self.fingerprint()}>"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not to be pickled")

    def fingerprint(self) -> str:
        """Return 12 hex digits by which two processes can tell whether they have the same key."""
        return self._code(b"breakeven key fingerprint").hex()[:12]

    def _code(self, body: bytes) -> bytes:
        code = self._keyed.copy()
        code.update(body)
        return code.digest()

    def sign(self, body: bytes) -> bytes:
        """Return `body` with its code in front."""
        return self._code(body) + body

    def verify(self, signed: bytes) -> bytes:
        """Return the body of a signed message.

        Raises:
            SignatureError: the code does not fit the body.
        """
        body = signed[_DIGEST_BYTES:]
        if not hmac.compare_digest(signed[:_DIGEST_BYTES], self._code(body)):
            raise SignatureError("not signed with this cluster's key")
        return body

    def dumps(self, value: object) -> bytes:
        """Pickle and sign `value`."""
        return self.sign(pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))

    def loads(self, signed: bytes | str) -> Any:
        """Check and unpickle what `dumps` made.

        Raises:
            SignatureError: it was not made with this key; nothing was unpickled.
        """
        if isinstance(signed, str):  # never ours: a content type that claims to be text
            raise SignatureError("not signed with this cluster's key")
        return pickle.loads(self.verify(signed))


def key_file() -> Path:
    """Return the path of the key's file: BREAKEVEN_KEY_FILE, or a file in the user's configuration."""
    named = os.environ.get(KEY_FILE_VARIABLE)
    return Path(named) if named else platformdirs.user_config_path("breakeven") / "signing.key"


def load_key(path: Path | None = None) -> Key:
    """Read the cluster's key; make it first if there is none.

    Args:
        path: the key's file; by default `key_file()`.

    Raises:
        KeyFileError: the file can't be read or made, is empty, or others can read it.
    """
    path = path or key_file()
    try:
        if not path.exists():
            make_key(path)
        mode = path.stat().st_mode
        secret = path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"can't read or make the signing key {path}: {error.strerror}; "
            f"name another file in {KEY_FILE_VARIABLE}"
        ) from error
    if mode & 0o077:
        raise KeyFileError(f"others can read the signing key {path}; run: chmod 600 {path}")
    if len(secret) < _KEY_BYTES:
        raise KeyFileError(
            f"the signing key {path} is too short; remove it, and a new one is made "
            "(and restart the whole cluster)"
        )
    return Key(secret)


def make_key(path: Path) -> None:
    """Make a new key, readable by its owner only; leave a key alone that is there.

    The file appears whole or not at all, also when several processes start at once.

    Raises:
        OSError: the directory can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with contextlib.suppress(FileExistsError):  # another process was faster: its key holds
            os.link(draft, path)
    finally:
        draft.unlink()


def register(key: Key) -> None:
    """Make Kombu's serializer `SERIALIZER` sign and check with `key`, in this whole process."""
    serialization.register(
        SERIALIZER, key.dumps, key.loads, content_type=CONTENT_TYPE, content_encoding="binary"
    )
