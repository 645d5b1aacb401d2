"""Which test files a set of files touches, by who imports whom."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from agent.paths import IMPORT_ROOTS

_FROM = re.compile(
    r"^[ \t]*from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)", re.MULTILINE
)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n#]+)", re.MULTILINE)
_SETTINGS = frozenset({"pyproject.toml", "pytest.ini", ".pytest.ini", "setup.cfg", "tox.ini"})


def touched_tests(files: Mapping[str, bytes], passed: Collection[str]) -> tuple[str, ...]:
    """The test files among `files` that `passed` ones touch, sorted.

    Those that are passed or import a passed file, be it through others; those below a passed (or
    so touched) conftest.py; all of them when pytest's settings are passed. Imports that a program
    makes by other means are not seen.
    """
    python = {path for path in files if path.endswith(".py")}
    tests = sorted(filter(_is_test, python))
    if any(path in _SETTINGS for path in passed):
        return tuple(tests)
    modules = {name: path for path in python for name in _names(path)}
    users: defaultdict[str, set[str]] = defaultdict(set)
    for path in python:
        for name in _imported(path, files[path].decode("utf-8", "replace")):
            if name in modules:
                users[modules[name]].add(path)
        for folder in PurePosixPath(path).parents:
            users[str(folder / "conftest.py")].add(path)
    touched: set[str] = set()
    waiting = [path for path in passed if path in python]
    while waiting:
        path = waiting.pop()
        if path not in touched:
            touched.add(path)
            waiting.extend(users[path])
    return tuple(path for path in tests if path in touched)


def _is_test(path: str) -> bool:
    name = PurePosixPath(path).name
    return name.startswith("test_") or name.endswith("_test.py")


def _names(path: str) -> Iterator[str]:
    """What a file can be imported as: from the top, and from a folder of sources."""
    parts = PurePosixPath(path).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if parts:
        yield ".".join(parts)
    if len(parts) > 1:
        if parts[0] in IMPORT_ROOTS:
            yield ".".join(parts[1:])
        if _is_test(path) or parts[0] == "tests":
            yield parts[-1]


def _imported(path: str, source: str) -> Iterator[str]:
    """The modules that a file may import, with the packages that they lie in."""
    for match in _IMPORT.finditer(source):
        for name in match[1].split(","):
            yield from _with_packages(name.split(" as ")[0].strip())
    package = PurePosixPath(path).parent.parts
    for match in _FROM.finditer(source):
        base = match[1]
        if base.startswith("."):
            up = len(base) - len(base.lstrip("."))
            above = package[: len(package) - up + 1]
            base = ".".join(filter(None, (*above, base.lstrip("."))))
        yield from _with_packages(base)
        for name in re.findall(r"\w+", match[2]):
            yield f"{base}.{name}"


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])
