"""What mypy remembers of its last run, taken along into the sandbox.

Nothing comes back: the user's own runs keep it warm. mypy compares digests where times differ,
as they do in a copy, so that an old memory costs time but not truth.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from agent.fix.checks import Check
from tools.sandbox.base import MIB, File

MAX_BYTES = 128 * MIB
_FOLDER = ".mypy_cache"


def caches(root: Path, tracked: Collection[str], checks: Sequence[Check]) -> tuple[File, ...]:
    """The files of mypy's cache in a repository, if one of the checks is mypy.

    None of a link or of more than MAX_BYTES, nor where the repository holds a cache itself, nor
    of one that another mypy is changing.
    """
    folder = root / _FOLDER
    asked = any("mypy" in word for check in checks for word in check.command.argv)
    if not asked or folder.is_symlink() or any(path.startswith(f"{_FOLDER}/") for path in tracked):
        return ()
    try:
        found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        if sum(path.stat().st_size for path in found) > MAX_BYTES:
            return ()
        return tuple(File(path.relative_to(root).as_posix(), path.read_bytes()) for path in found)
    except OSError:
        return ()
