"""Name other folders of the host as the repository's files, so that they are read and written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.repository import capture, open_repository
from agent.status import AgentError


def on_host(make: Callable[..., Path], folder: Path) -> None:
    home = folder / "home"
    (home / "evil").mkdir(parents=True)
    (home / "secret").write_text("secret")
    other = make({"secret": "secret"})
    for target in (home, "../..", other, "/"):
        repo = make({"a.py": "a = 1\n"})
        subprocess.run(["git", "-C", repo, "config", "core.worktree", str(target)], check=True)
        with pytest.raises(AgentError, match=r"work(ing)? tree"):
            open_repository(repo)
    repo = make({"a.py": "a = 1\n"})
    tree = folder / "tree"
    subprocess.run(["git", "-C", repo, "worktree", "add", "-q", "-b", "b", tree], check=True)
    with open_repository(tree) as opened:
        assert [file.path for file in capture(opened).files] == ["a.py"]
