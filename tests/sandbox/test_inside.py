"""The sources sent into the sandbox must run on an old Python with nothing installed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tools.sandbox import channel

INSIDE = Path(channel.__file__).parent / "inside"


@pytest.mark.parametrize("path", sorted(INSIDE.glob("*.py")), ids=lambda path: path.stem)
def test_old_syntax_and_standard_library_only(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names


def test_every_source_is_sent() -> None:
    assert set(channel.MODULES) == {path.stem for path in INSIDE.glob("*.py")} - {"__init__"}
