"""Which files a patch may not change: whatever decides how a patch is judged."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

_FOLDERS = (
    "tests", "test", "testing", "__tests__", "spec", ".git", ".github", "*.dist-info",
    "*.egg-info", "__pycache__",
)  # fmt: skip
_NAMES = (
    "test_*.py", "*_test.py", "*_test.go", "*.test.*", "*.spec.*", "conftest.py",
    "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg",
    "pyproject.toml", "noxfile.py",
    "apprentice.toml", ".coveragerc", "sitecustomize.py", "usercustomize.py", "*.pth",
    ".gitattributes", ".gitmodules", ".pre-commit-config.yaml", "package.json", "Makefile",
    "Cargo.toml", "go.mod",
)  # fmt: skip
_MODULES = frozenset(
    {"pytest", "_pytest", "pluggy", "iniconfig", "unittest", "sitecustomize", "usercustomize"}
)
_IMPORTED_FROM = ("src", "lib")


def is_protected(path: str, extra: Sequence[str] = ()) -> bool:
    """True when `path` (relative, POSIX) holds tests or decides how they run."""
    pure = PurePosixPath(path)
    if any(fnmatchcase(part, folder) for part in pure.parts[:-1] for folder in _FOLDERS):
        return True
    if _is_runner(pure.parts):
        return True
    if any(fnmatchcase(pure.name, pattern) for pattern in _NAMES):
        return True
    return any(path == pattern or fnmatchcase(path, pattern) for pattern in extra)


def _is_runner(parts: Sequence[str]) -> bool:
    """Whether it would be imported in the place of a module that runs the tests."""
    top = parts[1:] if len(parts) > 1 and parts[0] in _IMPORTED_FROM else parts
    name = top[0] if len(top) > 1 else top[0].partition(".")[0]
    return name in _MODULES and (len(top) > 1 or top[0].endswith((".py", ".pyc", ".so")))
