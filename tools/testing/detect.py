"""Which command runs a repository's tests."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from tools.testing.formats import format_of

Framework = Literal["pytest", "command"]


class NoTestsError(Exception):
    """No way to run tests was found. The message says how to name one."""


@dataclass(frozen=True)
class TestCommand:
    """How to run the tests. For pytest, `argv` holds only pytest's own arguments.

    `format` names the row of `tools.testing.formats` that reads a command's results by test.
    """

    __test__ = False

    argv: tuple[str, ...]
    framework: Framework
    env: tuple[tuple[str, str], ...] = ()
    format: str = ""


_RUNNERS = {("uv", "run"), ("poetry", "run"), ("pipenv", "run"), ("pdm", "run"), ("hatch", "run")}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SHELL = frozenset({";", "|", "&", "&&", "||", "<", ">", ">>", "(", ")"})
_MAKE_TEST = re.compile(r"^test\s*:(?!=)", re.MULTILINE)
_PACKAGE_TEST = re.compile(r"(npm|pnpm|yarn)( run)? test(?![^ ])")
_NPM_PLACEHOLDER = "no test specified"


def detect(
    paths: Collection[str], read: Callable[[str], bytes], configured: str | None = None
) -> TestCommand:
    """The configured command, or the one that the repository's files suggest.

    Raises NoTestsError.
    """
    names = set(paths)
    if configured is not None and configured.strip():
        return _with_format(from_text(configured), names, read)
    for found in (
        _pytest(names, read),
        _node(names, read),
        _command("Cargo.toml", names, "cargo", "test"),
        _command("go.mod", names, "go", "test", "./..."),
        _make(names, read),
    ):
        if found is not None:
            return _with_format(found, names, read)
    raise NoTestsError(
        "no tests were found (pytest, npm test, node --test, cargo test, go test, make test); "
        "name the command with --test-cmd, for example --test-cmd 'python -m pytest tests'"
    )


def from_text(text: str) -> TestCommand:
    """A command as a person writes it. pytest is recognised; all else counts by exit code."""
    shell = TestCommand(("sh", "-c", text), "command")
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        plain = shlex.split(text)
    except ValueError as error:
        raise NoTestsError(f"the test command {text!r} cannot be read: {error}") from None
    if _SHELL & set(words) or "$" in text or "`" in text or "\n" in text.strip():
        return shell
    env: list[tuple[str, str]] = []
    while plain and (plain[0] == "env" or _ASSIGNMENT.match(plain[0])):
        word = plain.pop(0)
        if word != "env":
            name, _, value = word.partition("=")
            env.append((name, value))
    if not plain:
        return shell
    rest = plain[2:] if tuple(plain[:2]) in _RUNNERS else plain
    program = PurePosixPath(rest[0]).name if rest else ""
    if program in {"pytest", "py.test"}:
        return TestCommand(tuple(rest[1:]), "pytest", tuple(env))
    if re.fullmatch(r"python[0-9.]*|py", program) and rest[1:3] == ["-m", "pytest"]:
        return TestCommand(tuple(rest[3:]), "pytest", tuple(env))
    return TestCommand(tuple(plain), "command", tuple(env))


def _with_format(
    command: TestCommand, names: set[str], read: Callable[[str], bytes]
) -> TestCommand:
    """The command with the format of its results, where one is known."""
    if command.framework != "command":
        return command
    line = " ".join(command.argv)
    if _PACKAGE_TEST.match(line):
        line = _test_script(names, read) or ""
    row = format_of(line)
    return replace(command, format=row.name) if row else command


def _pytest(names: set[str], read: Callable[[str], bytes]) -> TestCommand | None:
    if "pytest.ini" in names or ".pytest.ini" in names:
        return TestCommand((), "pytest")
    for name, sign in (("tox.ini", b"[pytest]"), ("setup.cfg", b"[tool:pytest]")):
        if name in names and sign in read(name):
            return TestCommand((), "pytest")
    if "pyproject.toml" in names and _has_pytest_table(read("pyproject.toml")):
        return TestCommand((), "pytest")
    for name in names:
        path = PurePosixPath(name)
        if path.suffix != ".py" or any(part.startswith(".") for part in path.parts):
            continue
        if path.name.startswith("test_") or path.stem.endswith("_test"):
            return TestCommand((), "pytest")
        if path.name == "conftest.py":
            return TestCommand((), "pytest")
    return None


def _has_pytest_table(data: bytes) -> bool:
    try:
        tool = tomllib.loads(data.decode("utf-8")).get("tool", {})
    except (ValueError, RecursionError):
        return b"[tool.pytest" in data
    return isinstance(tool, dict) and "pytest" in tool


def _node(names: set[str], read: Callable[[str], bytes]) -> TestCommand | None:
    if _test_script(names, read) is not None:
        return TestCommand(("npm", "test", "--silent"), "command")
    if any(re.search(r"[._-]test\.[cm]?js$", n) and "node_modules/" not in n for n in names):
        return TestCommand(("node", "--test"), "command")
    return None


def _test_script(names: set[str], read: Callable[[str], bytes]) -> str | None:
    """What `npm test` runs, if anything."""
    if "package.json" not in names:
        return None
    try:
        package = json.loads(read("package.json"))
    except (ValueError, RecursionError):
        return None
    scripts = package.get("scripts") if isinstance(package, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    return script if isinstance(script, str) and _NPM_PLACEHOLDER not in script else None


def _command(marker: str, names: set[str], *argv: str) -> TestCommand | None:
    return TestCommand(argv, "command") if marker in names else None


def _make(names: set[str], read: Callable[[str], bytes]) -> TestCommand | None:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        if name in names and _MAKE_TEST.search(read(name).decode("utf-8", "replace")):
            return TestCommand(("make", "test"), "command")
    return None
