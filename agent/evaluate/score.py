"""The scorer: a patch in text form against the tests of a task, in a fresh sandbox.

It is given nothing of the run that made the patch, and rebuilds the tree from the instance.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict

from agent.config import Settings
from agent.status import UsageError
from agent.tasks.baseline import seeded
from agent.tasks.environment import declared, with_environment
from agent.tasks.instance import EnvironmentSetup, Instance
from agent.tasks.tree import base_files, capture_of, patched, source, visible_files
from agent.verify.patch import split
from agent.verify.protected import is_protected
from agent.workspace import Workspace, make_workspace
from tools.sandbox.base import File
from tools.testing.results import TestEnvironmentError, TestRun


class Score(BaseModel):
    """What the tests of a task say of a patch.

    `resolved` is None when the row itself cannot be scored; `reason` then says why. `fixed` are
    the FAIL_TO_PASS tests that pass, `broken` the PASS_TO_PASS tests that do not. Files that decide
    how tests run are taken from the task, whatever the patch says of them: `ignored`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolved: bool | None
    applies: bool = True
    reason: str = ""
    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    test_seconds: float = 0.0


def environment_of(instance: Instance) -> EnvironmentSetup:
    """What the tests need: as the row says, else as its repository declares."""
    return instance.environment_setup or EnvironmentSetup(packages=declared(source(instance).files))


def prepare(instance: Instance, settings: Settings) -> None:
    """Fetch the repository and make the environment of its tests, which may take long.

    Raises AgentError, SandboxError.
    """
    source(instance)
    with_environment(settings, environment_of(instance))


def score(instance: Instance, patch: str, settings: Settings) -> Score:
    """Score a patch (empty: the untouched base).

    `settings` say which sandbox and how long the tests may take; they run twice at most. Raises
    AgentError, SandboxError, TestEnvironmentError: what no patch is to blame for.
    """
    capture = capture_of(instance, "visible")
    own = with_environment(settings, environment_of(instance))
    workspace = seeded(make_workspace(capture, own), 0)
    tests = _test_files(instance)
    parts = split(patch, tests)
    if parts.refused:
        return Score(resolved=False, applies=False, reason=parts.refused)
    ignored = (*parts.findings, *parts.dropped)
    try:
        files = _judged(capture.files, patched(capture.files, parts.diff), tests)
    except UsageError as error:
        return Score(resolved=False, applies=False, reason=str(error), ignored=ignored)
    run = None
    with contextlib.suppress(TestEnvironmentError):
        run = _run(workspace, files)
    return _read(instance, workspace, run).model_copy(
        update={"ignored": ignored, "test_seconds": run.seconds if run else 0.0}
    )


def _test_files(instance: Instance) -> tuple[str, ...]:
    """The files that hold tests of the row, and those that the test patch leaves."""
    before = set(base_files(instance))
    changed = {file.path for file in visible_files(instance) if file not in before}
    tests = (*instance.fail_to_pass, *instance.pass_to_pass)
    return tuple(sorted(changed | {test.split("::", 1)[0] for test in tests}))


def _judged(
    task: Collection[File], changed: Collection[File], tests: Sequence[str]
) -> tuple[File, ...]:
    """The changed tree with the task's own tests, and its own say on how they run.

    Raises UsageError when a file of the patch stands where the task has a folder.
    """
    files = [file for file in changed if not is_protected(file.path, tests)]
    files += [file for file in task if is_protected(file.path, tests)]
    folders = {str(parent) for file in files for parent in PurePosixPath(file.path).parents}
    if taken := sorted(file.path for file in files if file.path in folders):
        raise UsageError(f"the patch does not apply: {taken[0]} is a folder")
    return tuple(sorted(files, key=lambda file: file.path))


def _run(workspace: Workspace, files: tuple[File, ...]) -> TestRun:
    """The tests on a tree. Raises TestEnvironmentError when they do not start, SandboxError."""
    own = dataclasses.replace(workspace, files=files)
    with own.fresh() as sandbox:
        return own.test(sandbox)


def _read(instance: Instance, workspace: Workspace, run: TestRun | None) -> Score:
    wanted = (*instance.fail_to_pass, *instance.pass_to_pass)
    outcomes = run.outcomes if run else {}
    absent = [test for test in wanted if test not in outcomes]
    if absent and (unknown := _unknown(instance, workspace, absent)):
        reason = f"{len(unknown)} tests of the row do not exist: {', '.join(unknown[:3])}"
        return Score(resolved=None, reason=reason)
    fixed = tuple(t for t in instance.fail_to_pass if outcomes.get(t) == "passed")
    broken = tuple(t for t in instance.pass_to_pass if outcomes.get(t) != "passed")
    reasons = []
    if run is None:
        reasons.append("the tests do not start with this patch")
    elif not run.complete:
        said = [line for line in run.output.splitlines() if line.strip()]
        reasons.append(f"the test run did not finish ({run.summary}): {''.join(said[-1:])[:200]}")
    if left := len(instance.fail_to_pass) - len(fixed):
        reasons.append(f"{left} of {len(instance.fail_to_pass)} failing tests still fail")
    if broken:
        reasons.append(f"{len(broken)} passing tests no longer pass: {', '.join(broken[:3])}")
    return Score(resolved=not reasons, reason="; ".join(reasons), fixed=fixed, broken=broken)


def _unknown(instance: Instance, workspace: Workspace, absent: list[str]) -> list[str]:
    """Which of these tests are not there with the known fix either."""
    tree = patched(workspace.files, instance.patch)
    known = _run(workspace, _judged(workspace.files, tree, _test_files(instance))).outcomes
    return [test for test in absent if test not in known]
