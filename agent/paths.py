"""Which names of a repository are files of the user's, and whether a link leads to them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

_IGNORABLE = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")

IMPORT_ROOTS = ("src", "lib", "python")
"""Folders of a repository that modules are imported from, beside its top."""


def below_import_root(path: str) -> str:
    """The path without the folder that modules are imported from, where it begins with one."""
    first, slash, rest = path.partition("/")
    return rest if slash and first in IMPORT_ROOTS else path


def module_of(path: str) -> str:
    """The name by which a Python file is imported; empty for other files."""
    pure = PurePosixPath(below_import_root(path))
    if pure.suffix != ".py":
        return ""
    parts = [*pure.parts[:-1], pure.stem]
    if parts[-1] == "__init__":
        del parts[-1]
    return ".".join(parts)


def is_plain(path: str) -> bool:
    """Whether a path, as git gives it, names a file below the root and outside of `.git`.

    What other file systems take for `.git` counts as such: case, characters that HFS+ ignores,
    ends and short names of NTFS.
    """
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        return False
    names = (_IGNORABLE.sub("", part).casefold().partition(":")[0].rstrip(" .") for part in parts)
    return not any(name in (".git", "git~1") for name in names)


def through_link(root: Path, path: str) -> bool:
    """Whether a folder on the way to the file is a link."""
    folders = PurePosixPath(path).parents
    return any((root / folder).is_symlink() for folder in folders if folder.name)


def key_of(root: Path) -> str:
    """A repository's name in our data folder: the same through every link to it."""
    return hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
