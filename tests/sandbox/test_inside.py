"""The sources sent into the sandbox must run on an old Python with nothing installed."""

from __future__ import annotations

import ast
import os
import subprocess
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


LIVES = """
import sys
from tools.sandbox.inside.common import Person
Person(0, int(sys.argv[1]))
print("lives")
"""


@pytest.mark.parametrize("held", [True, False])
def test_a_server_ends_when_its_client_was_gone_before_it_was_bound_to_it(held: bool) -> None:
    """The kernel sends no signal for a parent that is dead when the signal is asked for."""
    read, write = os.pipe()
    try:
        if not held:
            os.close(write)
        done = subprocess.run(
            [sys.executable, "-c", LIVES, str(read)],
            pass_fds=[read],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        os.close(read)
        if held:
            os.close(write)
    assert done.stdout == ("lives\n" if held else "")
