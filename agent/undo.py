"""Deliveries that a dead process left half done: noted before they begin, undone by the next run.

A file gets its old bytes back only while HEAD is where it was and the file holds the bytes of the
patch. Everything else may be the user's work, and is left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from agent.paths import is_plain, key_of, through_link
from agent.status import EnvironmentFailure
from policies.paths import data_root

if TYPE_CHECKING:
    from git import Repo

SCRATCH = ".apprentice-"
_STRICT = ConfigDict(
    frozen=True, extra="forbid", strict=True, ser_json_bytes="base64", val_json_bytes="base64"
)


class Change(BaseModel):
    """One file of a delivery: its bytes before, and a digest of those after; None for no file.

    `path` and `scratch`, the file that is renamed to it, are relative to the repository.
    """

    model_config = _STRICT
    path: str
    scratch: str
    old: bytes | None
    mode: int | None
    new: str | None


class _Note(BaseModel):
    """A delivery: HEAD before it, the commit that HEAD gets (or ''), files, folders it makes."""

    model_config = _STRICT
    head: str
    commit: str
    files: tuple[Change, ...]
    folders: tuple[str, ...]


def note(
    root: Path, changes: Sequence[Change], folders: Sequence[str], head: str, commit: str
) -> None:
    """Write down what is about to be delivered onto `head`; `commit` is what HEAD gets, or ''.

    Raises OSError, which names the file.
    """
    path = note_path(root)
    data = _Note(head=head, commit=commit, files=tuple(changes), folders=tuple(folders))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        prepare(fresh, data.model_dump_json().encode(), 0o600)
        os.replace(fresh, path)
        _sync(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def forget(root: Path) -> None:
    """The delivery is done, or wholly undone. Raises EnvironmentFailure when the note stays."""
    path = note_path(root)
    try:
        for left in (path, path.with_suffix(".new")):
            left.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync(path.parent)
    except OSError as error:
        raise EnvironmentFailure(
            f"{path} cannot be removed: {error.strerror}",
            "Remove it yourself: it is the note of a delivery that has ended.",
        ) from error


def pending(root: Path) -> bool:
    """Whether a dead process has left a note. The caller holds the repository."""
    path = note_path(root)
    return path.exists() or path.with_suffix(".new").exists()


def recover(root: Path, repo: Repo) -> None:
    """Undo what a dead process has begun, or leave it, and say which on stderr.

    The caller holds the repository. Raises OSError or EnvironmentFailure; then the note stays.
    """
    path = note_path(root)
    try:
        found = _Note.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return forget(root)
    except ValueError:
        _say(f"{path} could not be read as the note of a delivery and was removed")
        return forget(root)
    head = repo.head.commit.hexsha
    if found.commit and head == found.commit:
        said = _refresh(repo, found)
    elif head == found.head:
        said = _undo(root, found)
    else:
        said = "HEAD has moved since, so the files were left as they are"
    for change in found.files:
        if _is_scratch(root, change.scratch):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                (root / change.scratch).unlink()
    for folder in sorted(set(found.folders), key=len, reverse=True):
        if is_plain(folder) and not through_link(root, folder):
            with contextlib.suppress(OSError):
                (root / folder).rmdir()
    if said:
        _say(f"an earlier run was killed while it applied a patch to {root}: {said}")
    return forget(root)


def restore(root: Path, change: Change) -> bool:
    """Put the old bytes back if the file holds the new ones; whether it did. Raises OSError."""
    if not _holds(root, change, change.new) or not _is_scratch(root, change.scratch):
        return False
    target = root / change.path
    if change.old is None:
        target.unlink(missing_ok=True)
        return True
    if change.mode is None:
        return False
    scratch = root / change.scratch
    scratch.unlink(missing_ok=True)
    prepare(scratch, change.old, change.mode)
    os.replace(scratch, target)
    return True


def prepare(scratch: Path, data: bytes, mode: int) -> None:
    """Write a file that is to be renamed onto another beside it, and have it on disk."""
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode & 0o7777)
        os.fsync(file.fileno())


def digest(data: bytes | None) -> str | None:
    """What a note keeps of new bytes."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def note_path(root: Path) -> Path:
    """Where the note of a repository's delivery is while it lasts."""
    return data_root() / "deliveries" / f"{key_of(root)}.json"


def _undo(root: Path, found: _Note) -> str:
    unplaced = any(os.path.lexists(root / change.scratch) for change in found.files)
    if not unplaced and all(_holds(root, change, change.new) for change in found.files):
        return "the patch is whole in the working tree and was left there"
    restored = [change.path for change in found.files if restore(root, change)]
    left = [file.path for file in found.files if not _holds(root, file, digest(file.old))]
    said = [f"undone in {', '.join(restored)}"] if restored else []
    return "; ".join([*said, f"left alone {', '.join(left)}"] if left else said)


def _refresh(repo: Repo, found: _Note) -> str:
    """Bring the index from the old commit to the new one where the user has staged nothing."""
    import git

    try:
        repo.git.read_tree("-i", "-m", found.head, found.commit)
    except git.GitCommandError:
        return "its commit is made, but the index is not up to date: see `git diff --cached`"
    return "its commit is made and whole"


def _holds(root: Path, change: Change, wanted: str | None) -> bool:
    """Whether the file has the digest. A file that is gone with its folder is not our removal."""
    if not is_plain(change.path) or through_link(root, change.path):
        return False
    target = root / change.path
    try:
        regular = stat.S_ISREG(target.lstat().st_mode)
        return regular and digest(target.read_bytes()) == wanted
    except (FileNotFoundError, NotADirectoryError):
        return wanted is None and (change.old is None or target.parent.is_dir())


def _is_scratch(root: Path, path: str) -> bool:
    ours = is_plain(path) and path.rpartition("/")[2].startswith(SCRATCH)
    return ours and not through_link(root, path)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
