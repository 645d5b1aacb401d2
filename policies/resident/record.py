"""What processes know of each other's engines: files that only the user may read.

Three files stand for one engine. The server holds a lock on `.alive` as long as it lives, so that
two never load the same weights, and a dead one is known as such however it died. Each client
holds a shared lock on `.lease`, so that the server knows when nobody needs it. `.json` says where
the engine listens, and its key. Locks go with the process: nothing has to be cleaned up.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from policies.base import Frozen, PolicyError
from policies.paths import data_root

_POLL_SECONDS = 0.02


class Wanted(Frozen):
    """An engine: weights, adapter, room, and the versions of the code that runs it.

    Room is `cells` tokens of context that `parallel` sequences share. It ends after
    `idle_seconds` without a client.
    """

    name: str
    model: str
    sha256: str
    adapter: str | None
    adapter_sha256: str
    cells: int
    parallel: int
    threads: int
    versions: str
    idle_seconds: float

    @property
    def key(self) -> str:
        """The same for all who can share the engine."""
        text = self.model_dump_json(exclude={"idle_seconds", "name"})
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Record(Frozen):
    """An engine that listens: who runs it, where, the secret key, and since when (Unix time)."""

    wanted: Wanted
    pid: int
    host: str
    port: int
    secret: str
    since: float


class Place:
    """The files of one engine."""

    def __init__(self, key: str) -> None:
        """Nothing is made before it is needed."""
        base = folder()
        self.alive = base / f"{key}.alive"
        self.lease = base / f"{key}.lease"
        self.record = base / f"{key}.json"
        self.log = base / f"{key}.log"

    def served(self) -> bool:
        """Whether a server lives, be it still loading."""
        return not _is_free(self.alive)

    def leased(self) -> bool:
        """Whether a client lives."""
        return not _is_free(self.lease, fcntl.LOCK_EX)

    def read(self) -> Record | None:
        """What the server has said of itself; None when there is nothing to be read."""
        try:
            return Record.model_validate_json(self.record.read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, record: Record) -> None:
        """Say where the server listens, to this user alone."""
        fresh = self.record.with_suffix(f".{record.pid}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(record.model_dump_json())
        os.replace(fresh, self.record)


def folder() -> Path:
    """Where the files are, for this user alone."""
    return data_root() / "resident"


def versions() -> str:
    """Of this package and of the engine: another one shares no engine with us."""
    found = []
    for name in ("apprentice-agent", "xllamacpp"):
        try:
            found.append(version(name))
        except PackageNotFoundError:
            found.append("?")
    return "/".join(found)


def open_private(path: Path) -> IO[bytes]:
    """A file to lock or to append to, made with its folder if missing. Raises PolicyError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    except OSError as error:
        raise PolicyError(
            f"cannot write {path}: {error.strerror}. Make it writable, or set APPRENTICE_HOME "
            "to a directory that is."
        ) from error


def take(file: IO[bytes], kind: int, seconds: float) -> bool:
    """Lock a file, shared or exclusively, trying for so many seconds; whether it was got."""
    end = time.monotonic() + seconds
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)


def until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so, for so many seconds at most; whether it is."""
    end = time.monotonic() + seconds
    while not (so := done()) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    return so


def _is_free(path: Path, kind: int = fcntl.LOCK_SH) -> bool:
    try:
        with path.open("rb") as file:
            return take(file, kind, 0.0)
    except FileNotFoundError:
        return True
