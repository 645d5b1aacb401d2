"""Deliveries that a dead process left half done: noted before they begin, undone by the next run.

A note holds what the files were and what they become. A file that is neither any more has been
changed by the user since, and is left alone.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.paths import data_root


@dataclass(frozen=True)
class Change:
    """One file of a delivery: the bytes before and after, None where there is no file.

    `path` and `scratch`, the file that is renamed to it, are relative to the repository.
    """

    path: str
    scratch: str
    old: bytes | None
    mode: int | None
    new: bytes | None


def note(root: Path, changes: Sequence[Change], folders: Sequence[Path], commit: str) -> None:
    """Write down what is about to be delivered; `commit` is the one that HEAD gets, or ''.

    Raises OSError.
    """
    path = _path(root)
    rows = [
        {
            "path": change.path,
            "scratch": change.scratch,
            "old": None if change.old is None else base64.b85encode(change.old).decode(),
            "mode": change.mode,
            "new": _digest(change.new),
        }
        for change in changes
    ]
    data = {"files": rows, "folders": [str(folder) for folder in folders], "commit": commit}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="ascii") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def forget(root: Path) -> None:
    """The delivery is done, or wholly undone."""
    path = _path(root)
    for left in (path, path.with_suffix(".new")):
        with contextlib.suppress(OSError):
            left.unlink()


def recover(root: Path, head: Callable[[], str]) -> None:
    """Undo what a dead process has begun, unless `head` is at the commit that it was to make.

    The caller holds the repository. Raises OSError.
    """
    try:
        data = json.loads(_path(root).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return forget(root)
    done = bool(data["commit"]) and head() == data["commit"]
    for row in data["files"]:
        (root / row["scratch"]).unlink(missing_ok=True)
        if not done:
            _restore(root, row)
    for folder in data["folders"]:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return forget(root)


def _restore(root: Path, row: dict[str, Any]) -> None:
    target = root / row["path"]
    try:
        now = None if target.is_symlink() else target.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        now = None
    if _digest(now) != row["new"] or target.is_symlink():
        return
    if row["old"] is None:
        target.unlink(missing_ok=True)
        return
    scratch = root / row["scratch"]
    scratch.write_bytes(base64.b85decode(row["old"]))
    scratch.chmod(row["mode"] & 0o7777)
    os.replace(scratch, target)


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _path(root: Path) -> Path:
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return data_root() / "deliveries" / f"{name}.json"
