"""Releases of a package that may become tasks: each against the one before it.

A release without a repository of its own has no commits, but two source archives differ as two
commits do, and the change log says in words what was mended.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from agent.repository import git_errors
from agent.status import AgentError
from agent.tasks.history import Candidate, candidate_of, is_fix
from agent.tasks.index import Archive, Release, release, releases
from agent.tasks.problems import Problem, told
from tools.sandbox.base import File

if TYPE_CHECKING:
    from git import Repo

_CHANGE_LOG = re.compile(r"change|history|news|release|version|whatsnew|readme", re.IGNORECASE)
_TEXTS = frozenset({"", ".md", ".rst", ".txt"})
_HEADING = re.compile(r"(?![-*+] )[^\w]*(?:[A-Za-z][\w.-]*\s+)?[\W_]*v?(\d+(?:\.\w+)+)\b.{0,40}$")
_TITLE = re.compile(r"#+\s")
_RULE = re.compile(r"([-=~^#*_.\"'])\1{2,}\s*$")


def release_candidates(
    name: str, limit: int, any_release: bool = False
) -> Iterator[Candidate | Problem]:
    """At most `limit` fixes among the releases of a package, newest first.

    They change what `candidates` of a history change, and their change log speaks of a fix
    unless `any_release`. An archive that cannot be read is a problem, and the others go on.
    Raises EnvironmentFailure when the index has no such package.
    """
    found = 0
    for old, new in reversed(list(pairwise(releases(name)))):
        if found >= limit:
            return
        try:
            before, after = (release(name, each.version, each.commit) for each in (old, new))
            candidate = _candidate(name, old, new, before, after, any_release)
        except AgentError as error:
            yield Problem(where=f"pypi:{name}=={new.version}", problem=told(error))
            continue
        if candidate is not None:
            found += 1
            yield candidate


def change_log(files: Iterable[File], version: str) -> list[str]:
    """What the change logs among the files say of a version: the lines below its heading."""
    for file in files:
        path = PurePosixPath(file.path)
        if _CHANGE_LOG.search(path.stem) and path.suffix.lower() in _TEXTS:
            lines = file.data.decode("utf-8", "replace").splitlines()
            if any(said := list(_section(lines, version))):
                return said
    return []


def told_by(lines: Sequence[str]) -> str:
    """The text of a section without titles and rules."""
    kept = [
        line.rstrip()
        for line, below in zip(lines, [*lines, ""][1:], strict=True)
        if not (_TITLE.match(line) or _RULE.match(line) or _RULE.match(below))
    ]
    return "\n".join(kept).strip()


def _section(lines: Iterable[str], version: str) -> Iterator[str]:
    inside = False
    for line in lines:
        if heading := _HEADING.match(line):
            inside = heading[1] == version
        elif inside:
            yield line


def _candidate(
    name: str, old: Release, new: Release, before: Archive, after: Archive, any_release: bool
) -> Candidate | None:
    import git

    section = change_log(after.files, new.version)
    if not (any_release or is_fix("\n".join(section))):
        return None
    with (
        tempfile.TemporaryDirectory(prefix="apprentice-") as folder,
        git_errors(),
        git.Repo.init(folder, bare=True) as repo,
    ):
        same = set(before.files) & set(after.files)
        bad, good = (_tree(repo, set(archive.files) - same) for archive in (before, after))
        found = candidate_of(repo, f"pypi:{name}=={old.version}", bad, good, told_by(section))
    return found and replace(found, parent=old.commit, commit=new.version)


def _tree(repo: Repo, files: Iterable[File]) -> str:
    """The id of a git tree of these files."""
    from git import BaseIndexEntry, IndexEntry, IndexFile
    from gitdb import IStream  # type: ignore[import-untyped]

    index = IndexFile(repo)
    index.entries.clear()
    for file in files:
        stream = IStream("blob", len(file.data), io.BytesIO(file.data))
        blob = repo.odb.store(stream).binsha
        entry = BaseIndexEntry((int(file.mode, 8), blob, 0, file.path))
        index.entries[file.path, 0] = IndexEntry.from_base(entry)
    return str(index.write_tree().hexsha)
