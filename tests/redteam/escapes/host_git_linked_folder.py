"""Put a link in the place of a folder whose files git lists, so that the host's are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from agent.repository import capture, open_repository


def on_host(make: Callable[..., Path], folder: Path) -> None:
    (folder / "x").write_text("secret")
    repo = make({"d/x": "x\n", "d/e/x": "x\n", "a.py": "a = 1\n"})
    shutil.rmtree(repo / "d")
    (repo / "d").symlink_to(folder)
    with open_repository(repo) as opened:
        found = capture(opened)
    assert {file.path: file.data for file in found.files} == {
        "a.py": b"a = 1\n",
        "d": str(folder).encode(),
    }
    assert found.dirty
