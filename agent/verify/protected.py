"""Which files a patch may not change: whatever decides how a patch is judged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from agent.paths import IMPORT_ROOTS

_TESTS = ("tests", "__tests__", "__snapshots__", "__mocks__")
_TESTS_AT_THE_TOP = ("test", "testing", "spec")
_SERVICES = (
    ".github", ".gitlab", ".circleci", ".buildkite", ".forgejo", ".gitea", ".woodpecker",
    ".devcontainer", ".vscode",
)  # fmt: skip
_HOOKS = (".husky", ".githooks", ".git-hooks", "githooks", "git-hooks", ".hooks")
_INSTALLED = (
    "*.dist-info", "*.egg-info", "__pycache__", "site-packages", "dist-packages", ".venv",
    ".tox", ".nox", ".pytest_cache", "node_modules", ".cargo",
)  # fmt: skip
_FOLDERS = (*_TESTS, ".git", *_SERVICES, *_HOOKS, *_INSTALLED)
_NAMES = (
    "test_*.py", "*_test.py", "tests.py", "*_test.go",
    "tests.rs", "test.rs", "*_tests.rs", "*_test.rs", "*.test.*", "*.spec.*", "*.snap",
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini",
    "tox.toml", "setup.cfg", "pyproject.toml", "noxfile.py", "hatch.toml", "apprentice.toml",
    ".coveragerc", "coverage.toml", "*.pth", "*._pth", "*.egg-link", "entry_points.txt",
    "pyvenv.cfg", ".pdbrc",
    ".gitattributes", ".gitmodules", ".pre-commit-config.yaml", "lefthook.yml",
    ".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", "appveyor.yml", "jenkinsfile",
    "package.json", ".npmrc", "jest.config.*", "vitest.config.*", ".mocharc*", "vite.config.*",
    "vitest.workspace.*", "babel.config.*", ".babelrc*", ".swcrc", "tsconfig*.json",
    "jest.setup.*", "vitest.setup.*", "setuptests.*",
    "makefile", "gnumakefile", "*.mk", "cargo.toml", "build.rs", "go.mod", "go.work",
    "*.lock", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "go.sum", "pipfile",
    ".python-version", ".tool-versions", ".envrc",
)  # fmt: skip
_MODULES = frozenset(
    {"pytest", "_pytest", "pluggy", "iniconfig", "unittest", "sitecustomize", "usercustomize"}
)
_UNSEEN = frozenset({"Cf", "Mn"})


def is_protected(path: str, extra: Sequence[str] = ()) -> bool:
    """True when `path` (relative, POSIX) holds tests or decides how they run.

    Names count in all the spellings that some file system takes for the same. `extra` are further
    paths or patterns; entries `!PATH` name the only files that are not protected.
    """
    allowed = [entry for entry in extra if entry.startswith("!")]
    if allowed and f"!{path}" not in allowed:
        return True
    parts = [plain(part) for part in PurePosixPath(path).parts]
    if not parts:
        return False
    if any(fnmatchcase(part, folder) for part in parts[:-1] for folder in _FOLDERS):
        return True
    if _is_runner(parts) or (len(parts) > 1 and parts[0] in _TESTS_AT_THE_TOP):
        return True
    if any(fnmatchcase(parts[-1], pattern) for pattern in _NAMES):
        return True
    return any(path == pattern or fnmatchcase(path, pattern) for pattern in extra)


def with_helpers(tests: Iterable[str], paths: Iterable[str]) -> tuple[str, ...]:
    """Files of tests, and those of `paths` beside them in folders that are called like tests.

    Such a folder counts at any depth; without tests in it (`django/test`) only at the top.
    """
    files = set(tests)
    folders = {str(PurePosixPath(test).parent) for test in files}
    named = {f for f in folders if plain(PurePosixPath(f).name) in _TESTS_AT_THE_TOP}
    beside = {path for path in paths if str(PurePosixPath(path).parent) in named}
    return tuple(sorted(files | beside))


def plain(part: str) -> str:
    """A name as the most lenient file system reads it.

    Case, compatibility forms and characters that are not seen do not count (as on HFS+), nor do
    dots and spaces at the end and what follows a colon (as on NTFS).
    """
    seen = "".join(c for c in part if unicodedata.category(c) not in _UNSEEN)
    folded = unicodedata.normalize("NFKC", seen).casefold()
    return folded.partition(":")[0].strip().rstrip(". ") or folded


def is_git_folder(part: str) -> bool:
    """Whether a name is `.git` on some file system, its short form on NTFS included."""
    return plain(part) == ".git" or re.fullmatch(r"\.?git~[0-9]+", plain(part)) is not None


def _is_runner(parts: Sequence[str]) -> bool:
    """Whether it would be imported in the place of a module that runs the tests."""
    top = parts[1:] if len(parts) > 1 and parts[0] in IMPORT_ROOTS else parts
    name = top[0] if len(top) > 1 else top[0].partition(".")[0]
    return name in _MODULES and (len(top) > 1 or top[0].endswith((".py", ".pyc", ".so")))
