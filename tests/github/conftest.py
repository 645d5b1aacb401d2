"""A hosted repository with an issue: the example, a bare remote, an API that answers."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agent import shop
from tests.github.hosted import Done, Hosted
from tests.github.server import Memory, serving

ISSUE = {
    "number": 12,
    "title": shop.ISSUE,
    "body": "Steps: `page(items, 1)`\n",
    "state": "open",
    "user": {"login": "mallory"},
    "labels": [{"name": "agent-fix"}],
}


@dataclass
class Case:
    """A labelled issue, the server that holds it, and the runner that works on it."""

    hosted: Hosted
    memory: Memory
    event: dict[str, Any]
    script: Callable[..., str]

    @property
    def remote(self) -> Path:
        """The bare repository."""
        return self.hosted.remotes / "octo/shop.git"

    def git(self, *arguments: str) -> str:
        """Ask the remote."""
        command = ["git", "-C", str(self.remote), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @property
    def branches(self) -> list[str]:
        """The remote's branches but the default one."""
        names = self.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
        return [name for name in names if name != "main"]

    def labelled(self, model: str, **inputs: Any) -> dict[str, Done]:
        """Run the workflow for the label."""
        fixed = {"model": model, "install": "", "samples": "2"}
        return self.hosted.run("issues", self.event, fixed | inputs)

    def good(self, **inputs: Any) -> dict[str, Done]:
        """Run it with a policy that knows the fix."""
        return self.labelled(self.script([shop.PLAN, shop.GOOD]), **inputs)


@pytest.fixture
def case(tmp_path: Path, git_repo: Any) -> Iterator[Case]:
    return_value = make_case(tmp_path, git_repo(shop.files()))
    with serving(return_value.memory):
        return_value.hosted.api_url = return_value.memory.api
        yield return_value


def make_case(tmp_path: Path, repo: Path) -> Case:
    """The case of a repository; its server is not started."""
    remote = tmp_path / "remotes/octo/shop.git"
    subprocess.run(["git", "-C", repo, "branch", "-qM", "main"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", repo, remote], check=True)
    (tmp_path / "jobs").mkdir()
    memory = Memory(issues={12: copy.deepcopy(ISSUE)})
    event = {
        "action": "labeled",
        "issue": copy.deepcopy(ISSUE),
        "label": {"name": "agent-fix"},
        "sender": {"login": "ada"},
        "repository": {"full_name": "octo/shop", "default_branch": "main"},
    }
    hosted = Hosted(tmp_path / "jobs", tmp_path / "remotes", "")
    return Case(hosted, memory, event, lambda *given, **more: shop.script(tmp_path, *given, **more))
