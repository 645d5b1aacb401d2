"""What is about to be committed: the contents of the index, whatever the files on disk hold."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.paths import is_plain
from agent.repository import (
    MAX_REPOSITORY_BYTES,
    Capture,
    blob_id,
    git_errors,
    index_entries,
    read_file,
)
from agent.status import EnvironmentFailure, UsageError
from tools.sandbox.base import MIB, File

if TYPE_CHECKING:
    from git import Repo

_CONFLICT = re.compile(rb"^<<<<<<< .*^=======\r?$.*^>>>>>>> ", re.MULTILINE | re.DOTALL)
_MODES: dict[str, Literal["100644", "100755", "120000"]] = {
    "100644": "100644",
    "100755": "100755",
    "120000": "120000",
}


@dataclass(frozen=True)
class Staged:
    """The staged state of a repository.

    `passed` are the files in question, by their paths from the root. `unstaged` holds the bytes
    on disk of those among them that are not what is staged; None for a file that is gone.
    """

    capture: Capture
    passed: tuple[str, ...]
    unstaged: dict[str, bytes | None]


def read_staged(repo: Repo, asked: Sequence[Path]) -> Staged:
    """Read the index. Without `asked` files, those that the commit would change are in question.

    Raises UsageError for a file that is not staged, an unmerged index, and the marks of a
    conflict.
    """
    root = Path(repo.working_dir)
    with git_errors():
        entries = index_entries(repo)
    passed = _relative(root, asked) if asked else _changed(repo, entries)
    for path in passed:
        if path not in entries:
            raise UsageError(
                f"{path} is not staged",
                f"Run `git add {shlex.quote(path)}` first, or leave it out.",
            )
    files: dict[str, File] = {}
    unstaged: dict[str, bytes | None] = {}
    left = MAX_REPOSITORY_BYTES
    for path, (mode, blob) in entries.items():
        if mode not in _MODES or not is_plain(path):
            continue
        disk = read_file(root, path, left)
        on_disk = None if disk is None else disk.data
        same = on_disk is not None and blob_id(on_disk) == blob
        data = on_disk if same and on_disk is not None else _blob(repo, blob)
        if path in passed and on_disk != data:
            unstaged[path] = on_disk
        files[path] = File(path, data, _MODES[mode])
        left -= len(data)
        if left < 0:
            raise EnvironmentFailure(
                f"the index holds more than {MAX_REPOSITORY_BYTES // MIB} MiB",
                "Keep large data files out of the repository.",
            )
    kept = tuple(path for path in passed if path in files)
    for path in kept:
        if _CONFLICT.search(files[path].data):
            raise UsageError(
                f"{path} has the marks of a merge conflict in what is staged",
                "Resolve it and `git add` it.",
            )
    head = repo.head.commit.hexsha if repo.head.is_valid() else ""
    return Staged(Capture(root, head, dirty=True, files=tuple(files.values())), kept, unstaged)


def before_commit(repo: Repo, path: str) -> bytes | None:
    """The file's bytes in HEAD; None where it is new."""
    try:
        return bytes(repo.git.get_object_data(f"HEAD:{path}")[3])
    except ValueError:
        return None


def _relative(root: Path, asked: Sequence[Path]) -> tuple[str, ...]:
    top = os.path.realpath(root)
    found: dict[str, None] = {}
    for path in asked:
        full = os.path.join(os.path.realpath(path.parent), path.name)
        relative = os.path.relpath(full, top)
        if not is_plain(relative):
            raise UsageError(f"{path} is no file below {root}")
        found[relative] = None
    return tuple(found)


def _changed(repo: Repo, entries: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    if not repo.head.is_valid():
        return tuple(entries)
    with git_errors():
        names = repo.git.diff(
            "--cached", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--diff-filter=AMT"
        )
    return tuple(filter(None, names.split("\0")))


def _blob(repo: Repo, blob: str) -> bytes:
    try:
        return bytes(repo.git.get_object_data(blob)[3])
    except ValueError as error:
        raise EnvironmentFailure(
            f"git has no object {blob}", "Run `git fsck`; in a partial clone, fetch it first."
        ) from error
