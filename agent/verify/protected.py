"""Which files a patch may not change: whatever decides how a patch is judged."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

_FOLDERS = frozenset({"tests", "test", "testing", "__tests__", "spec", ".git", ".github"})
_NAMES = (
    "test_*.py", "*_test.py", "*_test.go", "*.test.*", "*.spec.*", "conftest.py",
    "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml", "noxfile.py",
    "apprentice.toml", ".coveragerc", "sitecustomize.py", "usercustomize.py", "*.pth",
    ".gitattributes", ".gitmodules", ".pre-commit-config.yaml", "package.json", "Makefile",
    "Cargo.toml", "go.mod",
)  # fmt: skip


def is_protected(path: str, extra: Sequence[str] = ()) -> bool:
    """True when `path` (relative, POSIX) holds tests or decides how they run."""
    pure = PurePosixPath(path)
    if any(part in _FOLDERS for part in pure.parts[:-1]):
        return True
    if any(fnmatchcase(pure.name, pattern) for pattern in _NAMES):
        return True
    return any(path == pattern or fnmatchcase(path, pattern) for pattern in extra)
