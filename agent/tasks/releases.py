"""Releases of a package that may become tasks: each against the one before it.

Two source archives differ as two commits do, and the change log says in words what was mended.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.repository import scratch_repository
from agent.tasks.changelog import section, told_by
from agent.tasks.history import Candidate, candidate_of, diff_of, is_fix
from agent.tasks.index import Archive, Release, release, releases
from agent.tasks.problems import Problem, told
from agent.verify.protected import is_protected
from tools.sandbox.base import File

if TYPE_CHECKING:
    from git import Repo


def release_candidates(
    name: str, limit: int, any_release: bool = False
) -> Iterator[Candidate | Problem]:
    """At most `limit` fixes among the releases of a package, newest first.

    They change what `candidates` of a history change, and their change log speaks of a fix
    unless `any_release`. What cannot be read is a problem, and the others go on. Raises
    EnvironmentFailure when the index has no such package.
    """
    found = 0
    for old, new in reversed(list(pairwise(releases(name)))):
        if found >= limit:
            return
        try:
            candidate = _candidate(name, old, new, any_release)
        except Exception as error:
            yield Problem(where=f"pypi:{name}=={new.version}", problem=told(error))
            continue
        if candidate is not None:
            found += 1
            yield candidate


def _candidate(name: str, old: Release, new: Release, any_release: bool) -> Candidate | None:
    after = release(name, new.version, new.commit)
    lines = section(after.files, name, old.version, new.version)
    if not (any_release or is_fix("\n".join(lines))):
        return None
    before = release(name, old.version, old.commit)
    files = bumped(before, after, old.version, new.version)
    same = set(before.files) & set(after.files)
    with scratch_repository() as git:
        trees = (before.files, files, after.files)
        first, base, last = (_tree(git, set(tree) - same) for tree in trees)
        found = candidate_of(git, f"pypi:{name}=={old.version}", base, last, told_by(lines))
        if found is None:
            return None
        setup = diff_of(git, first, base)
    return replace(found, parent=old.commit, commit=new.version, setup_patch=setup)


def bumped(before: Archive, after: Archive, old: str, new: str) -> list[File]:
    """The files of a release with those lines as in the next where only the version differs.

    So a test of the version's number is no part of the fix, which no issue could tell.
    """
    later = {file.path: file.data for file in after.files}
    files = []
    for file in before.files:
        data = file.data
        if data != later.get(file.path, data) and not is_protected(file.path):
            there = set(later[file.path].splitlines())
            lines = [_bump(line, there, old, new) for line in data.splitlines(keepends=True)]
            data = b"".join(lines)
        files.append(replace(file, data=data))
    return files


def _bump(line: bytes, there: set[bytes], old: str, new: str) -> bytes:
    more = line.replace(old.encode(), new.encode())
    return more if line.rstrip(b"\r\n") not in there and more.rstrip(b"\r\n") in there else line


def _tree(git: Repo, files: Iterable[File]) -> str:
    """The id of a git tree of these files."""
    from git import BaseIndexEntry, IndexEntry, IndexFile
    from gitdb import IStream  # type: ignore[import-untyped]

    index = IndexFile(git)
    index.entries.clear()
    for file in files:
        stream = IStream("blob", len(file.data), io.BytesIO(file.data))
        blob = git.odb.store(stream).binsha
        entry = BaseIndexEntry((int(file.mode, 8), blob, 0, file.path))
        index.entries[file.path, 0] = IndexEntry.from_base(entry)
    return str(index.write_tree().hexsha)
