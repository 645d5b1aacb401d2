from __future__ import annotations

from typing import Any, get_args

import pytest

from tests.tools.conftest import Box
from tools.base import Observation, Tool
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT
from tools.files import LIST_FILES, READ_FILE, SEARCH
from tools.git import GIT_DIFF, GIT_LOG, blame_tool
from tools.sandbox.base import KilledBy, Result, Sandbox
from tools.shell import SHELL, describe

EDITING: tuple[Tool[Any], ...] = (EDIT_SYMBOL, REPLACE_TEXT, CREATE_FILE)
LOOKING: tuple[Tool[Any], ...] = (LIST_FILES, READ_FILE, SEARCH, GIT_DIFF, GIT_LOG, blame_tool("."))
ALL: dict[str, Tool[Any]] = {tool.name: tool for tool in (*EDITING, *LOOKING, SHELL)}

FILES: dict[str, str | bytes] = {
    "pkg/a.py": "def f():\n    return 1\n\n\nclass A:\n    def f(self):\n        return 2\n",
    "pkg/crlf.py": b"x = 1\r\ny = 2\r\n",
    "latin.py": b"# caf\xe9\nx = 1\n",
    "binary.bin": b"\0\1\2",
    "big.txt": b"line\n" * 2_100_000,
    "long.txt": "word " * 20_000 + "\n" + "needle\n" * 500,
    "empty.txt": "",
    "notes.md": "Some *notes*.\n",
}


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    for path, data in FILES.items():
        if path.endswith((".py", ".md")):
            shared.write(path, data.encode() if isinstance(data, str) else data)
    return shared


@pytest.fixture(scope="module")
def shared(box: Box) -> Sandbox:
    return box(FILES)


def call(sandbox: Sandbox, tool: str, **arguments: Any) -> Observation:
    return ALL[tool].call(sandbox, arguments)


def refused(sandbox: Sandbox, tool: str, **arguments: Any) -> str:
    observation = call(sandbox, tool, **arguments)
    assert not observation.ok
    assert observation.text.startswith(f"{tool}: ")
    return observation.text


def test_every_tool_has_a_schema() -> None:
    for name, tool in ALL.items():
        schema = tool.schema()["function"]
        assert schema["name"] == name
        assert schema["description"]
        assert all(p["description"] for p in schema["parameters"].get("properties", {}).values())


@pytest.mark.parametrize("reason", get_args(KilledBy))
def test_every_end_of_a_command_is_described(reason: KilledBy) -> None:
    assert describe(Result(137, b"", b"", 1.0, reason)).text.startswith("killed: it ")


def test_edit_symbol(sandbox: Sandbox) -> None:
    done = call(sandbox, "edit_symbol", symbol="pkg/a.py::A.f", code="def f(self):\n    return 3")
    assert done.ok
    assert "rewrote pkg/a.py::A.f" in done.text
    assert "-        return 2\n+        return 3" in done.text
    assert sandbox.read("pkg/a.py").endswith(b"class A:\n    def f(self):\n        return 3\n")
    done = call(sandbox, "edit_symbol", symbol="pkg/a.py::A", code="class A:\n    pass")
    assert sandbox.read("pkg/a.py").endswith(b"class A:\n    pass\n")


@pytest.mark.parametrize(
    ("symbol", "code", "message"),
    [
        ("pkg/a.py", "def f(): pass", "path::qualname"),
        ("pkg/b.py::f", "def f(): pass", "b.py"),
        ("a.py::f", "def f(): pass", "near it: pkg/a.py"),
        ("pkg/a.py::g", "def g(): pass", "its symbols: pkg/a.py::"),
        ("pkg/a.py::<module>", "x = 1", "replace_text"),
        ("notes.md::f", "x", "without symbols"),
        ("latin.py::f", "x", "not UTF-8"),
        ("pkg/a.py::f", "def f():\n    return 1", "identical"),
        ("pkg/a.py::f", "def f():\n    return (1", "line 2"),
        ("../x.py::f", "def f(): pass", "x.py"),
    ],
)
def test_edit_symbol_refused(sandbox: Sandbox, symbol: str, code: str, message: str) -> None:
    before = sandbox.read("pkg/a.py")
    assert message in refused(sandbox, "edit_symbol", symbol=symbol, code=code)
    assert sandbox.read("pkg/a.py") == before


def test_replace_text(sandbox: Sandbox) -> None:
    assert call(sandbox, "replace_text", path="pkg/crlf.py", old="x = 1\ny", new="x = 3\ny").ok
    assert sandbox.read("pkg/crlf.py") == b"x = 3\r\ny = 2\r\n"
    done = call(
        sandbox,
        "replace_text",
        path="pkg/a.py",
        old="def f(self):\n    return 2\n",
        new="def f(self):\n    if self:\n        return 4\n",
    )
    assert "ignoring white space" in done.text
    assert sandbox.read("pkg/a.py").endswith(
        b"    def f(self):\n        if self:\n            return 4\n"
    )
    assert "does not parse" in refused(
        sandbox, "replace_text", path="pkg/a.py", old="return 1", new="return (1"
    )
    assert "2 places" in refused(sandbox, "replace_text", path="pkg/a.py", old="return", new="x")


def test_create_file(sandbox: Sandbox) -> None:
    assert call(sandbox, "create_file", path="new/dir/b.py", content="```\nx = 1\n```").ok
    assert sandbox.read("new/dir/b.py") == b"x = 1\n"
    assert "exists" in refused(sandbox, "create_file", path="new/dir/b.py", content="x = 2")
    assert "parse" in refused(sandbox, "create_file", path="new/c.py", content="def f(:")
    assert not call(sandbox, "create_file", path="../out.py", content="x = 1").ok
    assert not call(sandbox, "create_file", path=".git/hooks/pre-commit", content="x").ok
    sandbox.remove("new/dir/b.py")


def test_read_file(sandbox: Sandbox) -> None:
    shown = call(sandbox, "read_file", path="pkg/a.py", start_line=5, end_line=99)
    assert shown.text == (
        "pkg/a.py, lines 5 to 7 of 7\n5: class A:\n6:     def f(self):\n7:         return 2"
    )
    assert "only 7 lines" in refused(sandbox, "read_file", path="pkg/a.py", start_line=8)
    assert "start_line" in refused(sandbox, "read_file", path="pkg/a.py", start_line=0)
    assert "binary file of 3 bytes" in refused(sandbox, "read_file", path="binary.bin")
    assert "not UTF-8" in refused(sandbox, "read_file", path="latin.py")
    assert "10,500,000 bytes" in refused(sandbox, "read_file", path="big.txt")
    assert call(sandbox, "read_file", path="empty.txt").text == "empty.txt is empty"
    long = call(sandbox, "read_file", path="long.txt")
    assert "go on with start_line 401" in long.text
    assert len(long.text) < 13_000
    assert long.cut > 80_000


def test_list_files(sandbox: Sandbox) -> None:
    assert call(sandbox, "list_files", glob="pkg/*.py").text == (
        "2 files\npkg/a.py (67 bytes)\npkg/crlf.py (14 bytes)"
    )
    assert call(sandbox, "list_files").text.startswith("8 files")
    assert call(sandbox, "list_files", glob="**/a.py").ok
    assert "no file matches" in refused(sandbox, "list_files", glob="*.rs")


def test_search(sandbox: Sandbox) -> None:
    found = call(sandbox, "search", pattern="return", glob="*.py")
    assert found.text == "pkg/a.py:2:     return 1\npkg/a.py:7:         return 2"
    assert (
        call(sandbox, "search", pattern="^class [A-Z]", regex=True).text == "pkg/a.py:5: class A:"
    )
    assert "no line matches" in call(sandbox, "search", pattern="f.*", glob="*.py").text
    assert "grep" in refused(sandbox, "search", pattern="(", regex=True)
    assert call(sandbox, "search", pattern="-e").ok
    many = call(sandbox, "search", pattern="needle")
    assert many.text.count("needle") <= 60
    bomb = call(sandbox, "search", pattern=r"(w*w*)*\1\1x(o+o+)+y", regex=True, glob="long.txt")
    assert isinstance(bomb, Observation)


def test_shell(sandbox: Sandbox) -> None:
    assert call(sandbox, "shell", command="echo hi; echo no >&2").text.endswith("hi\n[stderr]\nno")
    failed = call(sandbox, "shell", command="exit 3")
    assert not failed.ok
    assert failed.text.startswith("exit code 3")
    flood = call(sandbox, "shell", command="seq 1 100000")
    assert len(flood.text) < 8_500
    assert flood.cut > 500_000


def test_git(sandbox: Sandbox) -> None:
    assert call(sandbox, "git_diff").text == "nothing has been changed"
    sandbox.write("pkg/a.py", b"x = 1\n")
    assert "+x = 1" in call(sandbox, "git_diff").text
