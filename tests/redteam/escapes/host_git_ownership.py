"""Give us a repository that belongs to another user, whose settings git must not obey."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.repository import open_repository
from agent.status import EnvironmentFailure


def on_host(make: Callable[..., Path], folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    repo = make({"a.py": "a = 1\n"})
    for path in (repo, repo / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(EnvironmentFailure, match="ownership") as caught:
        open_repository(repo)
    assert "safe.directory" in caught.value.hint
