"""Tools in a real sandbox, called with whatever a model may send."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.ui.text import printable
from tests.fuzz.registry import JSON, TEXT
from tools.base import Tool
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT
from tools.files import LIST_FILES, READ_FILE, SEARCH
from tools.git import GIT_DIFF, GIT_LOG, blame_tool
from tools.sandbox.base import File, Spec
from tools.sandbox.choose import open_sandbox

TOOLS: tuple[Tool[Any], ...] = (
    EDIT_SYMBOL, REPLACE_TEXT, CREATE_FILE, LIST_FILES, READ_FILE, SEARCH, GIT_DIFF, GIT_LOG,
    blame_tool("."),
)  # fmt: skip
PATHS = st.sampled_from(
    ["a.py", "a.py::f", "new/b.py", "../canary", "../../etc/passwd", "/etc/passwd", ".git/config",
     "link", "link/canary", "a.py/x", "", ".", "a" * 300, "x/" * 3000, "a\0b", "\udce9", "\ud800"]
)  # fmt: skip
BODIES = st.sampled_from(["def f():\n    return 2\n", "    return 1", "\ud800", "\0", "", "é"])
PATTERNS = st.sampled_from(["(", "[", "*", "\\", "a\0b", "\ud800", "-rf", "x" * 200_000, ""])
VALUE = PATHS | BODIES | PATTERNS | TEXT | JSON


@st.composite
def calls(draw):
    """A tool and arguments that are mostly those it has."""
    tool = draw(st.sampled_from(TOOLS))
    names = sorted(tool.arguments.model_fields)
    arguments = {name: draw(VALUE) for name in names if draw(st.integers(0, 5))}
    if not draw(st.integers(0, 20)):
        arguments[draw(TEXT)] = draw(JSON)
    return tool, arguments


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace without isolation, and what lies beside it."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / "canary").write_text("alive")
    patch = pytest.MonkeyPatch()
    patch.setattr(tempfile, "tempdir", str(folder))
    link = File("link", str(folder).encode(), "120000")
    files = [File("a.py", b"def f():\n    return 1\n"), link]
    with open_sandbox("none", files, Spec()) as sandbox:
        yield sandbox, folder
    patch.undo()


@settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(call=calls())
def test_any_call_is_answered_inside_the_workspace(place, call):
    sandbox, folder = place
    tool, arguments = call
    observation = tool.call(sandbox, arguments)
    printable(observation.text).encode()
    beside = [path for path in folder.iterdir() if not str(sandbox.workspace).startswith(str(path))]
    assert [path.name for path in beside] == ["canary"]
    assert (folder / "canary").read_text() == "alive"
    scratch = Path(sandbox.workspace).parent
    assert not (scratch / "canary").exists()
    assert all(not path.startswith(("/", "../")) for path, _ in sandbox.files())
