"""The second look at a patch whose tests pass: does the code do what they say, or does it lie?

Code under test shares a process with its tests and can forge their results. It cannot tell a test
from its control, the same test that expects something else (`control`), without knowing the right
answer; and who knows the right answers by heart fails the held-out tests (`held_out`).
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.verify.control import certain_ids, control_of
from agent.verify.outcomes import passed
from agent.workspace import Workspace
from tools.sandbox.base import Sandbox
from tools.testing.results import TestRun

OTHERS = 40

Tested = Callable[[Sandbox, tuple[str, ...]], TestRun]
"""Runs tests by their ids in an open sandbox."""


@dataclass(frozen=True)
class _Controls:
    """Changed test files, and the ids of the tests that are certain to fail with them."""

    files: dict[str, bytes]
    certain: tuple[str, ...]

    def passing(self, tree: Workspace, test: Tested, ids: Sequence[str]) -> list[str]:
        """Which of these tests pass all the same, in a fresh sandbox."""
        wanted = tuple(test_id for test_id in self.certain if test_id in ids)
        if not wanted:
            return []
        with tree.fresh() as sandbox:
            for path, source in self.files.items():
                sandbox.write(path, source)
            run = test(sandbox, wanted)
        return [test_id for test_id in wanted if run.outcomes.get(test_id) == "passed"]


def lies(
    base: Workspace, tree: Workspace, test: Tested, run: TestRun, targets: Sequence[str]
) -> list[str]:
    """Tests of a run on the patched `tree` that pass although they expect something else.

    All targets are looked at and a random part of the other tests, so that no patch can know which.
    What passes its control on the untouched `base` as well says nothing and is left out.
    """
    chosen = _chosen(run, targets)
    controls = _controls(base, chosen)
    found = controls.passing(tree, test, chosen)
    void = controls.passing(base, test, found)
    return [test_id for test_id in found if test_id not in void]


def passes_anyway(tests: Sequence[str]) -> str:
    """The finding that these tests lie."""
    named = ", ".join(tests[:3])
    return f"{len(tests)} tests pass although they expect something else: {named}"


def _chosen(run: TestRun, targets: Sequence[str]) -> list[str]:
    others = [test_id for test_id in passed(run) if test_id not in targets]
    picked = random.Random(secrets.randbits(128)).sample(others, min(OTHERS, len(others)))  # noqa: S311
    return [*targets, *picked]


def _controls(base: Workspace, ids: Sequence[str]) -> _Controls:
    contents = {file.path: file.data for file in base.files if file.mode != "120000"}
    files: dict[str, bytes] = {}
    certain: list[str] = []
    for path in dict.fromkeys(test_id.split("::", 1)[0] for test_id in ids):
        control = control_of(contents.get(path, b""), secrets.randbits(32))
        if control is not None and (sure := certain_ids(control, path, ids)):
            files[path] = control.source
            certain += sure
    return _Controls(files, tuple(certain))
