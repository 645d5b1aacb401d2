"""A hosted repository with an issue: the example, a bare remote, an API that answers."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
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

    def says(self, **issue: Any) -> None:
        """Have the issue say something else, in the event and on the server."""
        self.event["issue"].update(issue)
        self.memory.issues[12].update(issue)

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
def new_case(tmp_path: Path) -> Iterator[Callable[..., Case]]:
    """Make cases of a repository with these files."""
    with ExitStack() as stack:
        yield lambda files: stack.enter_context(open_case(tmp_path, files))


@pytest.fixture
def case(new_case: Callable[..., Case]) -> Case:
    """The example as a case of its own."""
    return new_case(shop.files())


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Case, dict[str, Done]]]:
    """The example after the workflow has run with a policy that knows the fix; look, but do not
    touch."""
    with open_case(tmp_path_factory.mktemp("proposed"), shop.files()) as made:
        yield made, made.good()


@contextmanager
def open_case(folder: Path, files: Mapping[str, bytes]) -> Iterator[Case]:
    """A case in an empty folder, with its server."""
    remote = new_remote(folder, files)
    (folder / "jobs").mkdir()
    memory = Memory(issues={12: copy.deepcopy(ISSUE)})
    event = {
        "action": "labeled",
        "issue": copy.deepcopy(ISSUE),
        "label": {"name": "agent-fix"},
        "sender": {"login": "ada"},
        "repository": {"full_name": "octo/shop", "default_branch": "main"},
    }
    with serving(memory):
        hosted = Hosted(folder / "jobs", remote.parent.parent, memory.api)
        yield Case(
            hosted, memory, event, lambda *given, **more: shop.script(folder, *given, **more)
        )


def new_remote(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A bare repository with one commit of these files on `main`."""
    work, remote = folder / "work", folder / "remotes/octo/shop.git"
    for name, data in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(data)
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [*identity, "commit", "-qm", "start"],
        ["clone", "-q", "--bare", ".", str(remote)],
    ):
        subprocess.run(["git", *command], cwd=work, check=True)
    return remote


def closed(pull: Any, *, merged: bool, repository: str = "octo/shop") -> dict[str, Any]:
    """The event of a pull request that is closed."""
    return {
        "action": "closed",
        "pull_request": {
            "number": pull["number"],
            "merged": merged,
            "body": pull["body"],
            "head": {"ref": pull["head_ref"], "repo": {"full_name": repository}},
        },
        "sender": {"login": "ada"},
        "repository": {"full_name": "octo/shop", "default_branch": "main"},
    }
