"""What a change log says of a version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from packaging.version import InvalidVersion, Version

from agent.verify.protected import is_protected
from tools.sandbox.base import File

_NAMES = re.compile(r"change|history|news|release|version|whatsnew", re.IGNORECASE)
_README = re.compile(r"readme", re.IGNORECASE)
_TEXTS = frozenset({"", ".md", ".rst", ".txt"})
_HEADING = re.compile(
    r"(?P<before>\D*?)v?(?P<number>\d+(?:\.\d+)*(?:[-.]?(?:a|b|rc|post|dev)\d+)?)(?!\w)(?P<rest>.*)"
)
_WORD = re.compile(r"[A-Za-z][\w'-]*")
_WORDS = frozenset((
    "changelog", "changes", "for", "in", "new", "notes", "release", "released", "v", "version",
    "what's",
))  # fmt: skip
_DATED = re.compile(
    r"[\])]*\W*(?:(?:\w{1,9}\W{1,3}){0,3}\d{4}(?:\W\d+){0,2}|(?:\d+\W){1,2}\d{4}|unreleased)?\W*",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{4}-\d\d")
_TITLE = re.compile(r"#+\s")
_RULE = re.compile(r"([-=~^#*_.\"'])\1{2,}\s*$")


def section(files: Iterable[File], package: str, old: str, new: str) -> list[str]:
    """The lines of the change log among the files on what came after `old`, up to `new`.

    Empty when there is none, or it says nothing. A README is looked into last.
    """
    texts = [
        file
        for file in files
        if PurePosixPath(file.path).suffix.lower() in _TEXTS and not is_protected(file.path)
    ]
    for pattern in (_NAMES, _README):
        for file in texts:
            if pattern.search(PurePosixPath(file.path).stem):
                lines = file.data.decode("utf-8", "replace").splitlines()
                said = list(_between(lines, package, Version(old), Version(new)))
                if any(line.strip() for line in said):
                    return said
    return []


def told_by(lines: Sequence[str]) -> str:
    """The text of a section without titles and rules."""
    kept = [
        line.rstrip()
        for line, below in pairwise([*lines, ""])
        if not (_TITLE.match(line) or _RULE.match(line) or _RULE.match(below))
    ]
    return "\n".join(kept).strip()


def _between(lines: Sequence[str], package: str, old: Version, new: Version) -> Iterator[str]:
    inside = False
    for line, below in pairwise([*lines, ""]):
        version = _version(line, below, package)
        if version is not None:
            inside = old < version <= new
        elif inside:
            yield line


def _version(line: str, below: str, package: str) -> Version | None:
    """The version whose heading a line is; None when it is none.

    It stands in a title, or at the start of a line of its own, with a date at most.
    """
    titled = bool(_TITLE.match(line) or (_RULE.match(below) and not _RULE.match(line)))
    match = _HEADING.match(re.sub(re.escape(package), "", line, count=1, flags=re.IGNORECASE))
    if match is None or not {w.lower() for w in _WORD.findall(match["before"])} <= _WORDS:
        return None
    number = match["number"]
    if _DATE.match(number + match["rest"]):
        return None
    dated = _DATED.fullmatch(match["rest"])
    alone = line[:1].isalnum() and "." in number and dated
    if not (alone or (titled and ("." in number or dated))):
        return None
    try:
        return Version(match["number"])
    except InvalidVersion:
        return None
