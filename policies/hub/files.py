"""Files that several processes share: locks, atomic writes, and digests that are not redone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from policies.base import PolicyError

_CHUNK = 1 << 20
_POLL_SECONDS = 0.25


@contextmanager
def locked(path: Path, on_wait: Callable[[float], None] | None = None) -> Iterator[None]:
    """Hold an advisory lock on `path` (created if missing) against other holders.

    While somebody else holds it, `on_wait` is called about four times a second with the
    seconds waited so far; an error that it raises ends the waiting. The lock goes with the
    process.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise PolicyError(
            f"cannot write {path}: {error.strerror}. Make it writable, or set APPRENTICE_HOME "
            "to a directory that is."
        ) from error
    with handle:
        begun = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if on_wait is not None:
                    on_wait(time.monotonic() - begun)
                time.sleep(_POLL_SECONDS)
        yield


def write_json(path: Path, value: Any) -> None:
    """Replace `path` atomically by `value` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump(value, handle, indent=2, sort_keys=True)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def sync_directory(path: Path) -> None:
    """Make renames inside directory `path` durable."""
    sync_file(path)


def sync_file(path: Path) -> None:
    """Make what was written to `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Make the files of folder `path` durable, and that they are in it."""
    for file in path.iterdir():
        sync_file(file)
    sync_directory(path)


def digest(path: Path) -> str:
    """The SHA-256 of the whole file, in hex."""
    seen = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            seen.update(chunk)
    return seen.hexdigest()


def stamped_digest(path: Path, stamps: Path) -> str:
    """The SHA-256 of `path`, read from its stamp in directory `stamps` while the file is unchanged.

    A stamp holds size, mtime_ns, ctime_ns and inode; a difference in any means reading the
    file again. A directory that cannot be written costs speed, not correctness.
    """
    path = path.resolve()
    stat = path.stat()
    identity = {
        "path": str(path),
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }
    stamp = stamps / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.json"
    try:
        known = json.loads(stamp.read_text(encoding="utf-8"))
        if {key: known.get(key) for key in identity} == identity:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    found = digest(path)
    with suppress(OSError):
        write_json(stamp, {**identity, "sha256": found})
    return found
