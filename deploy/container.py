#!/usr/bin/env python3
"""What runs first in a container: makes the cluster's secrets, hands them to a command, judges its health.

    breakeven secrets DIRECTORY    make what is missing: signing key, passwords, the broker's users
    breakeven healthy SECONDS      succeed if the heartbeat file is younger than that
    breakeven COMMAND...           become COMMAND, with the secrets in its environment

It is the image's entry point, under the name `breakeven`.

Secrets are files that only this user can read. They get into a command's environment here, inside
its own process, so they are in no image, no compose file, no `docker inspect` and no argument list:

    BREAKEVEN_SECRETS           the directory with the files       /run/breakeven
    BREAKEVEN_BROKER            host, port and database            redis:6379/0

Only the standard library is used, and it is not part of the package: it belongs to the image.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import sys
import tempfile
import time
from pathlib import Path

KEY = "signing.key"
FLOWER_PASSWORD = "flower.password"  # noqa: S105 - a file's name
BROKER_PASSWORD = "redis.password"  # noqa: S105 - a file's name
BROKER_USERS = "redis.acl"

#: The broker's users. Anyone may ping, which is how its health is checked without a password; only the
#: cluster may do more, and nobody may reconfigure it, switch it off or empty it. The file holds the
#: password's digest alone: a random 256-bit password can't be found from it.
USERS = """\
user default on nopass resetkeys resetchannels -@all +ping
user breakeven on #{digest} ~* &* +@all -@admin -@dangerous +info
"""


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    match arguments:
        case ["secrets", directory]:
            make_secrets(Path(directory))
        case ["healthy", seconds]:
            raise SystemExit(0 if heartbeat_age() < float(seconds) else 1)
        case [command, *_]:
            add_secrets(Path(os.environ.get("BREAKEVEN_SECRETS", "/run/breakeven")))
            if "flower" in arguments:
                show_flower_password()
            os.execvp(command, arguments)  # noqa: S606 - no shell is wanted
        case _:
            raise SystemExit(__doc__)


def make_secrets(directory: Path) -> None:
    """Make the secrets that are not there yet; leave the others alone.

    Args:
        directory: an existing directory of this user's.
    """
    make(directory / KEY, secrets.token_bytes(32))
    make(directory / FLOWER_PASSWORD, secrets.token_urlsafe(12).encode())
    make(directory / BROKER_PASSWORD, secrets.token_urlsafe(32).encode())
    digest = hashlib.sha256((directory / BROKER_PASSWORD).read_bytes()).hexdigest()
    # Readable by the broker, which runs as another user.
    make(directory / BROKER_USERS, USERS.format(digest=digest).encode(), mode=0o644)


def make(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that appears whole or not at all, unless it is there already."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    draft.rename(path)
    print(f"made {path.name}")


def add_secrets(directory: Path) -> None:
    """Put into the environment what commands need to reach the cluster."""
    environment = os.environ
    if (directory / KEY).exists():
        environment["BREAKEVEN_KEY_FILE"] = str(private(directory / KEY))
    if (directory / BROKER_PASSWORD).exists():
        password = (directory / BROKER_PASSWORD).read_text()
        broker = environment.get("BREAKEVEN_BROKER", "redis:6379/0")
        environment.setdefault("CELERY_BROKER_URL", f"redis://breakeven:{password}@{broker}")
    if (directory / FLOWER_PASSWORD).exists():
        environment["FLOWER_BASIC_AUTH"] = f"breakeven:{(directory / FLOWER_PASSWORD).read_text()}"
    # Where workers find the HTTP server of the `fetch` workload: Docker resolves container names.
    environment.setdefault("BREAKEVEN_HTTP_HOST", socket.gethostname())


def private(path: Path) -> Path:
    """Return `path`, or a copy for this user alone if its group can read it (Kubernetes mounts it so)."""
    if not path.stat().st_mode & 0o077:
        return path
    copy = Path(tempfile.mkdtemp(prefix="breakeven-")) / path.name
    copy.touch(mode=0o600)
    copy.write_bytes(path.read_bytes())
    return copy


def show_flower_password() -> None:
    """Print how to log in to Flower, the first time that it starts with this database."""
    user, _, password = os.environ.get("FLOWER_BASIC_AUTH", "").partition(":")
    shown = Path(os.environ.get("FLOWER_DB", "flower.db")).with_name("password-shown")
    if password and not shown.exists():
        address = os.environ.get("BREAKEVEN_FLOWER_ADDRESS", "http://127.0.0.1:5555")
        print(f"Flower: {address}  user: {user}  password: {password}", flush=True)
        shown.touch()


def heartbeat_age() -> float:
    """Return how many seconds ago the worker's event loop gave a sign of life; infinite if never."""
    try:
        return time.time() - Path(os.environ["BREAKEVEN_HEARTBEAT_FILE"]).stat().st_mtime
    except (KeyError, OSError):
        return float("inf")


if __name__ == "__main__":
    main(sys.argv[1:])
