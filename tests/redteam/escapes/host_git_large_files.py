"""Have a file of holes, larger than memory, and a pipe read into memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.repository import capture, open_repository
from agent.status import EnvironmentFailure


def on_host(make: Callable[..., Path], folder: Path) -> None:
    repo = make({"a.py": "a = 1\n", "b.py": "b = 1\n"})
    (repo / "b.py").unlink()
    os.mkfifo(repo / "b.py")
    os.mkfifo(repo / "c.py")
    with open_repository(repo) as opened:
        assert [file.path for file in capture(opened).files] == ["a.py"]
        with (repo / "holes").open("wb") as file:
            file.truncate(1 << 42)
        with pytest.raises(EnvironmentFailure, match="MiB"):
            capture(opened)
