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

from agent.verify.control import certain_ids, control_of, names_of
from agent.verify.outcomes import passed
from agent.workspace import Workspace
from tools.sandbox.base import Sandbox
from tools.testing.results import COLLECTION, TestEnvironmentError, TestRun

OTHERS = 40
PADDING, COLUMNS = 1 << 16, 70

Tested = Callable[[Sandbox], TestRun]
"""Runs all tests in an open sandbox."""


@dataclass(frozen=True)
class _Controls:
    """Changed test files, and the ids of the tests that are certain to fail with them."""

    files: dict[str, bytes]
    certain: tuple[str, ...]

    def run(self, tree: Workspace, test: Tested, ids: Sequence[str]) -> _Ended:
        """How those of these tests that have a control end with it, in a fresh sandbox.

        The whole suite is run, so that its size does not tell the control from the real run.
        """
        wanted = [test_id for test_id in self.certain if test_id in ids]
        if not wanted:
            return _Ended((), ())
        with tree.fresh() as sandbox:
            for path, source in self.files.items():
                sandbox.write(path, padded(path, source))
            try:
                run = test(sandbox)
            except TestEnvironmentError:
                return _Ended((), ())
        passing = set(passed(run))
        return _Ended(
            tuple(test_id for test_id in wanted if test_id in run.outcomes),
            tuple(test_id for test_id in wanted if test_id in passing),
        )


@dataclass(frozen=True)
class _Ended:
    """The tests that came to an end with their control, and those of them that passed it."""

    all: tuple[str, ...]
    passing: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """`lying` tests pass although they expect something else; `unchecked` are targets without a
    control, or whose control did not come to its end.
    """

    lying: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def finding(self) -> str:
        """What is held against the patch, if anything."""
        named = ", ".join(self.lying[:3])
        text = f"{len(self.lying)} tests pass although they expect something else: {named}"
        return text if self.lying else ""


def audit(
    base: Workspace, tree: Workspace, test: Tested, run: TestRun, targets: Sequence[str]
) -> Audit:
    """Run the controls of a run on the patched `tree`.

    All targets are looked at and a random part of the other tests, so that no patch can know which.
    What passes its control on the untouched `base` as well says nothing and is left out.
    """
    chosen = _chosen(run, targets)
    controls = _controls(base, chosen)
    ended = controls.run(tree, test, chosen)
    void = controls.run(base, test, ended.passing).passing
    return Audit(
        tuple(test_id for test_id in ended.passing if test_id not in void),
        tuple(target for target in _expanded(run, targets) if target not in ended.all),
    )


def padded(path: str, source: bytes) -> bytes:
    """A Python file with comments of random length at its end, as linters let them pass."""
    if not path.endswith(".py"):
        return source
    room = COLUMNS - len("# ")
    whole, rest = divmod(secrets.randbelow(PADDING), room)
    lines = [b"# " + b"." * room] * whole + [b"# " + b"." * (rest + 1)]
    return source.rstrip(b"\n") + b"\n\n\n" + b"\n".join(lines) + b"\n"


def _chosen(run: TestRun, targets: Sequence[str]) -> list[str]:
    """The targets and some others."""
    wanted = _expanded(run, targets)
    others = [test_id for test_id in passed(run) if test_id not in wanted]
    picked = random.Random(secrets.randbits(128)).sample(others, min(OTHERS, len(others)))  # noqa: S311
    return [*wanted, *picked]


def _expanded(run: TestRun, targets: Sequence[str]) -> list[str]:
    """The targets, with the tests of a file in the place of its collection."""
    wanted: dict[str, None] = {}
    for target in targets:
        start = target.removesuffix(COLLECTION) + "::"
        inside = [test_id for test_id in run.outcomes if test_id.startswith(start)]
        wanted.update(dict.fromkeys(inside if target.endswith(COLLECTION) else [target]))
    return list(wanted)


def _controls(base: Workspace, ids: Sequence[str]) -> _Controls:
    contents = base.contents
    files: dict[str, bytes] = {}
    certain: list[str] = []
    for path in dict.fromkeys(test_id.split("::", 1)[0] for test_id in ids):
        source = contents.get(path, b"")
        control = control_of(source, secrets.randbits(32), names_of(path, ids))
        if control is not None and (sure := certain_ids(control, path, ids)):
            files[path] = control.source
            certain += sure
    return _Controls(files, tuple(certain))
