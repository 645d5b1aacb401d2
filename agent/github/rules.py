"""What a pull request of ours may change. Stricter than the verdict: a person merges it later."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from agent.github.artifact import NewTest
from agent.verify.patch import Split, split
from agent.verify.protected import plain

MAX_FILES = 20
MAX_CHANGED_LINES = 500
MAX_FILE_BYTES = 100 * 1024
_DENIED = (
    "action.yml", "action.yaml", "codeowners", "dockerfile*", "containerfile*", "compose*.y*ml",
    "docker-compose*.y*ml", "*.lockb", "*.lockfile", "package.resolved", "requirements*.txt",
    "requirements*.in", "constraints*.txt", "setup.py", "gemfile", "composer.json", "deno.json*",
    "*.csproj", "build.gradle*", "settings.gradle*", "pom.xml", "gradlew*", "mvnw*",
    "cmakelists.txt",
    "meson.build", "justfile", "taskfile.y*ml", "rakefile", ".bazelrc", "*.bzl",
    ".gitignore", ".dockerignore", ".netrc", ".pypirc", "pip.conf", "dependabot.y*ml",
    "renovate.json*",
)  # fmt: skip


_NEW_TEST = re.compile(r"(tests/|test/)?test_reproduction(_[0-9]{1,4})?\.py")


@dataclass(frozen=True)
class Rules:
    """Limits of a patch. `denied` are more patterns of paths; new tests come only when asked."""

    max_files: int = MAX_FILES
    max_lines: int = MAX_CHANGED_LINES
    max_bytes: int = MAX_FILE_BYTES
    denied: tuple[str, ...] = ()
    new_tests: bool = False


def problems(diff: str, rules: Rules, protected: Sequence[str] = ()) -> tuple[Split, list[str]]:
    """The patch, taken apart, with why it may not be proposed.

    `protected` are the repository's own protected paths, its files of tests among them.
    """
    if "\0" in diff or "GIT binary patch" in diff:
        return Split((), (), ()), ["the patch is binary"]
    parts = split(diff, protected)
    found = list(parts.findings)
    found += [f"adds a file that it may not add: {path!a}" for path in parts.dropped]
    found += [
        f"changes a file that decides about builds: {part.path!a}"
        for part in parts.allowed
        if _denied(part.path, rules.denied)
    ]
    if not parts.allowed and not found:
        found.append("the patch changes nothing")
    if len(parts.allowed) > rules.max_files:
        found.append(f"{len(parts.allowed)} files are changed, {rules.max_files} at most may be")
    if parts.size > rules.max_lines:
        found.append(f"{parts.size} lines are changed, {rules.max_lines} at most may be")
    if len(parts.diff.encode("utf-8", "surrogateescape")) > rules.max_bytes:
        found.append(f"the patch is larger than {rules.max_bytes // 1024} KiB")
    return parts, found


def test_problems(test: NewTest, existing: Sequence[str]) -> list[str]:
    """Why a test that the policy wrote may not be added to a repository of these paths."""
    known = {plain_path(one) for one in existing}
    if not _NEW_TEST.fullmatch(test.path) or test.path in known:
        return [f"the new test is none by its path: {test.path!a}"]
    folder = test.path.rpartition("/")[0]
    if folder and not any(one.startswith(f"{folder}/") for one in existing):
        return [f"the new test stands in a folder that is not there: {test.path!a}"]
    try:
        ast.parse(test.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ["the new test is no Python"]
    return []


def plain_path(path: str) -> str:
    """A path as the most lenient file system reads it."""
    return "/".join(plain(part) for part in path.split("/"))


def _denied(path: str, more: Sequence[str]) -> bool:
    parts = [plain(part) for part in PurePosixPath(path).parts]
    if any(fnmatchcase(parts[-1], pattern) for pattern in _DENIED):
        return True
    return any(path == pattern or fnmatchcase(path, pattern) for pattern in more)
