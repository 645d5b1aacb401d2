"""Held-out tests: what no policy has seen, run on a patched tree."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.workspace import Workspace
from tools.sandbox.base import File
from tools.testing.results import TestEnvironmentError, TestRun

MARK = "_held_"
"""In the name of each held-out test, between that of the original and a number."""


@dataclass(frozen=True)
class HeldOut:
    """How held-out tests ended: ids of those that do not pass, of `total`."""

    failed: tuple[str, ...]
    total: int
    seconds: float = 0.0

    @property
    def reason(self) -> str:
        """Why a patch is not taken, '' where all pass."""
        if not self.failed:
            return ""
        return (
            f"fails {len(self.failed)} of {self.total} held-out tests: "
            "it may know the visible ones by heart"
        )


def judge(workspace: Workspace, files: Sequence[File]) -> HeldOut:
    """Run held-out tests on the tree of a workspace, in a fresh sandbox. Raises SandboxError."""
    try:
        run = run_held_out(workspace, files)
    except TestEnvironmentError:
        run = None
    return ended(files, run)


def ended(files: Sequence[File], run: TestRun | None) -> HeldOut:
    """How the held-out tests of these files ended in a run; all failed where it is None."""
    wanted = [f"{file.path}::{test}" for file in files for test in _tests(file)]
    failed = tuple(test for test in wanted if run is None or not _passes(run, test))
    return HeldOut(failed, len(wanted), run.seconds if run else 0.0)


def _tests(file: File) -> Iterator[str]:
    """The names of the held-out tests of a file, as in pytest's ids."""
    for node in ast.parse(file.data).body:
        owner = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef) and MARK in inner.name:
                yield owner + inner.name


def run_held_out(workspace: Workspace, files: Sequence[File]) -> TestRun:
    """A run of these files alone. Raises SandboxError, TestEnvironmentError."""
    own = with_held_out(workspace, files)
    with own.fresh() as sandbox:
        return own.test(sandbox, tuple(file.path for file in files))


def with_held_out(workspace: Workspace, files: Sequence[File]) -> Workspace:
    """The workspace with these files, which its test command names in place of its own paths."""
    tree = workspace
    for file in files:
        tree = tree.with_file(file)
    folders = {str(parent) for file in tree.files for parent in _parents(file.path)}
    known = {file.path for file in tree.files} | folders
    given = workspace.command.argv
    kept = [
        word
        for number, word in enumerate(given)
        if word.rstrip("/") not in known or _is_value(given[:number])
    ]
    argv = (*kept, *(file.path for file in files))
    return dataclasses.replace(tree, command=dataclasses.replace(workspace.command, argv=argv))


def _parents(path: str) -> Sequence[str]:
    parts = path.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def _is_value(before: Sequence[str]) -> bool:
    """Whether the next word belongs to the option in front of it."""
    return bool(before) and before[-1].startswith("-") and "=" not in before[-1]


def _passes(run: TestRun, test: str) -> bool:
    """Whether a test passed, with each of its fixtures' parameters."""
    ended = [o for name, o in run.outcomes.items() if name == test or name.startswith(f"{test}[")]
    return bool(ended) and set(ended) == {"passed"}
