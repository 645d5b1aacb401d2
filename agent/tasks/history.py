"""Fix commits of a repository that may become tasks: which, their two patches, their issue."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from agent.repository import git_errors
from agent.status import UsageError
from agent.tasks.issue.describe import leaks
from agent.verify.protected import is_protected

if TYPE_CHECKING:
    from git import Repo

MAX_SOURCE_LINES, MAX_SOURCE_FILES = 200, 5
_DOCUMENT_SUFFIXES = frozenset({".md", ".rst", ".txt", ".adoc"})
_DOCUMENT_NAMES = frozenset((
    "authors", "changelog", "changes", "contributors", "copying", "credits", "history", "licence",
    "license", "news", "notice", "readme", "thanks", "todo",
))  # fmt: skip
_DOCUMENT_FOLDERS = frozenset({"doc", "docs", "changelog", "changes", "news", "newsfragments"})
_SETTINGS = frozenset({"conftest.py", "noxfile.py", "sitecustomize.py", "usercustomize.py"})
_COMMIT = re.compile(r"[0-9a-f]{40,}")
_LINKS = frozenset({"120000", "160000"})
_DIFF = (
    "-r", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index",
    "--src-prefix=a/", "--dst-prefix=b/", "--unified=3",
    "--diff-algorithm=myers", "--indent-heuristic",
)  # fmt: skip

_FIX = re.compile(
    r"\b(fix(e[sd]|ing)?|bug(s|fix(es)?)?|issues?|regressions?|crash(e[sd]|ing)?|wrong(ly)?"
    r"|incorrect(ly)?)\b|#\d+",
    re.IGNORECASE,
)
_CLOSES = r"(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?|refs?|see|addresses)"
_REFERENCE = r"(?:(?:[\w.-]+/[\w.-]+)?#|gh-)\d+"
_TRAILER = re.compile(
    rf"[A-Z][A-Za-z]*(-[A-Za-z]+)*-(by|to|on|Id|id|issue|Url|url): .*"
    rf"|(Cc|Bug|Link|Issue|Ticket|PR): .*|\(cherry picked from commit .*"
    rf"|({_CLOSES}):?\s+(issue\s+)?{_REFERENCE}([\s,]+(and\s+)?({_CLOSES}\s+)?{_REFERENCE})*\.?",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    rf"(?:(?:bug|hot)?fix(?:\([^)]*\))?!?:|{_CLOSES}:?\s+(?:issue\s+)?{_REFERENCE}\s*[:,-])\s*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z_]\w{3,}")
_NO_CODE = re.compile(r"#.*|\"[^\"]*\"|'[^']*'")
_MENTION = re.compile(rf"\s*[(\[]({_CLOSES}:?\s+)?{_REFERENCE}[)\]]", re.IGNORECASE)


@dataclass(frozen=True)
class Candidate:
    """A commit that looks like a fix. The patches turn `repo` at `parent` into the commit's tree.

    `setup_patch` comes first: what of the difference is neither.

    `patch` holds the sources, `test_patch` the tests and what decides how they run; documents are
    in neither. `test_files` are the files of tests that the commit leaves changed.
    """

    repo: str
    commit: str
    parent: str
    message: str
    test_files: tuple[str, ...]
    patch: str
    test_patch: str
    setup_patch: str = ""

    @property
    def name(self) -> str:
        """The commit, shortened; a release's version as it is."""
        return self.commit[:12] if _COMMIT.fullmatch(self.commit) else self.commit


@dataclass(frozen=True)
class _Change:
    path: str
    mode: str
    lines: int | None

    @property
    def deleted(self) -> bool:
        return self.mode == "000000"


def candidates(git: Repo, repo: str, limit: int, any_commit: bool = False) -> Iterator[Candidate]:
    """At most `limit` fix commits that HEAD holds, newest first; merges and roots are none.

    They change at least one file of tests and one Python source, in at most 5 files and 200
    lines besides the tests, and their message speaks of a fix unless `any_commit`. Raises
    EnvironmentFailure.
    """
    found = 0
    with git_errors():
        listed = git.git.rev_list("--no-merges", "--parents", "HEAD").splitlines()
    for line in listed:
        commit, _, parent = line.partition(" ")
        if found >= limit:
            return
        if not parent:
            continue
        with git_errors():
            message = _text(git.commit(commit).message)
            if not (any_commit or is_fix(message)):
                continue
            candidate = candidate_of(git, repo, parent, commit, message)
        if candidate is not None:
            found += 1
            yield candidate


def is_fix(message: str) -> bool:
    """Whether a message speaks of a fix."""
    return bool(_FIX.search(message))


def statement(message: str, patch: str = "", issues: Mapping[int, str] | None = None) -> str:
    """The issue of a fix: the linked one where it is known, else the commit's message.

    Trailers, references, lines that say a line of the patch, and sentences of a message that
    name what only the patch brings are left out. Empty when nothing is left, or no subject.
    """
    numbers = [int(n) for n in re.findall(r"(?:#|\bgh-)(\d+)", message, re.IGNORECASE)]
    closing = re.findall(rf"{_CLOSES}:?\s+(?:issue\s+)?#(\d+)", message, re.IGNORECASE)
    for number in (*map(int, closing), *numbers):
        text = _safe((issues or {}).get(number, ""), patch)
        if text:
            return text
    lines = [line.rstrip() for line in message.replace("\r\n", "\n").split("\n")]
    kept = [_MENTION.sub("", line) for line in lines if not _TRAILER.fullmatch(line.strip())]
    told = _PREFIX.sub("", "\n".join(kept).strip(), count=1)
    subject, *rest = re.split(r"\n\s*\n", told)
    names = _brought(patch)
    if not (subject := _without(subject, names)):
        return ""
    return _safe("\n\n".join(filter(None, (subject, *(_without(r, names) for r in rest)))), patch)


def read_issues(path: Path) -> dict[int, str]:
    """The texts of issues by number, from a JSON object. Raises UsageError."""
    hint = 'It holds a JSON object: {"12": "text of issue 12"}.'
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise UsageError(f"{path} does not map numbers to texts", hint)
        return {int(number): text for number, text in found.items()}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint) from error
    except ValueError as error:
        raise UsageError(f"{path} is no list of issues: {error}", hint) from error


def _brought(patch: str) -> frozenset[str]:
    """The words of code that a patch adds and that stand nowhere else in it."""
    added, others = set[str](), set[str](keyword.kwlist)
    for line in patch.splitlines():
        if line.startswith("+") and not line.startswith("+++ "):
            added |= set(_WORD.findall(_NO_CODE.sub(" ", line)))
        else:
            others |= set(_WORD.findall(line))
    return frozenset(added - others)


def _without(paragraph: str, names: frozenset[str]) -> str:
    """The paragraph without the sentences that hold one of the names."""
    sentences = re.split(r"(?<=[.!?;])\s+|\n(?=\s*[-*] )", paragraph)
    kept = [said for said in sentences if names.isdisjoint(_WORD.findall(said))]
    return paragraph if len(kept) == len(sentences) else "\n".join(kept)


def _safe(text: str, patch: str) -> str:
    """The text without lines that leak; without all of it when it leaks across lines."""
    text = "\n".join(line for line in text.splitlines() if not leaks(line, patch)).strip()
    text = re.sub(r"\n{3,}", "\n\n", text)
    return "" if leaks(text, patch) else text


def candidate_of(git: Repo, repo: str, parent: str, commit: str, message: str) -> Candidate | None:
    """The fix that leads from a commit or tree to another one; None when it makes no task."""
    changes = _changes(git, parent, commit)
    tests = [c for c in changes if is_protected(c.path)]
    sources = [c for c in changes if not is_protected(c.path) and not _is_document(c.path)]
    test_files = tuple(c.path for c in tests if not c.deleted and _is_test(c.path))
    if not test_files or not any(c.path.endswith(".py") for c in sources):
        return None
    if any(c.lines is None or c.mode in _LINKS for c in (*tests, *sources)):
        return None
    if len(sources) > MAX_SOURCE_FILES or sum(c.lines or 0 for c in sources) > MAX_SOURCE_LINES:
        return None
    patch, test_patch = (_diff(git, parent, commit, part) for part in (sources, tests))
    try:
        (patch + test_patch).encode()
    except UnicodeEncodeError:
        return None
    return Candidate(repo, commit, parent, message, test_files, patch, test_patch)


def diff_of(git: Repo, before: str, after: str) -> str:
    """How a commit or tree differs from another one, wholly."""
    return _diff(git, before, after, _changes(git, before, after))


def _changes(repo: Repo, parent: str, commit: str) -> list[_Change]:
    """The files that differ: `:MODE MODE ID ID STATUS`, path, and then `ADDED REMOVED path`."""
    said = repo.git.diff_tree("-r", "-z", "--raw", "--numstat", "--no-renames", parent, commit)
    modes: dict[str, str] = {}
    changes: list[_Change] = []
    fields = iter(said.split("\0"))
    for field in fields:
        if field.startswith(":"):
            modes[next(fields)] = field.split()[1]
        elif field:
            added, removed, path = field.split("\t", 2)
            lines = None if added == "-" else int(added) + int(removed)
            changes.append(_Change(path, modes[path], lines))
    return changes


def _diff(repo: Repo, parent: str, commit: str, changes: list[_Change]) -> str:
    paths = [f":(top,literal){change.path}" for change in changes]
    text = repo.git.diff_tree(*_DIFF, parent, commit, "--", *paths, strip_newline_in_stdout=False)
    return _text(text)


def _is_test(path: str) -> bool:
    """Whether a protected file is Python that may hold tests."""
    return path.endswith(".py") and PurePosixPath(path).name not in _SETTINGS


def _is_document(path: str) -> bool:
    pure = PurePosixPath(path)
    folders = {part.lower() for part in pure.parts[:-1]}
    return (
        pure.suffix.lower() in _DOCUMENT_SUFFIXES
        or pure.name.lower() in _DOCUMENT_NAMES
        or bool(folders & _DOCUMENT_FOLDERS)
        or any(folder.startswith(".") for folder in folders)
    )


def _text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")
