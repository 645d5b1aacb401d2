"""The scorer: a patch in text form against the tests of a task, in a fresh sandbox.

It is given nothing of the run that made the patch, and rebuilds the tree from the instance.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.config import Settings
from agent.status import UsageError
from agent.tasks.baseline import seeded
from agent.tasks.environment import declared, with_environment
from agent.tasks.heldout import held_out_files
from agent.tasks.instance import EnvironmentSetup, Instance
from agent.tasks.tree import base_files, capture_of, patched, source, visible_files
from agent.verify.audit import audit
from agent.verify.held_out import judge
from agent.verify.outcomes import doctest_files, test_files
from agent.verify.patch import split
from agent.verify.protected import is_protected, with_helpers
from agent.verify.tamper import examples_changed
from agent.workers.inside import Job
from agent.workspace import Workspace, make_workspace
from tools.sandbox.base import File, Sandbox
from tools.testing.results import TestEnvironmentError, TestRun


class Score(BaseModel):
    """What the tests of a task say of a patch.

    `resolved` is None when the row itself cannot be scored; `reason` then says why. `fixed` are
    the FAIL_TO_PASS tests that pass, `broken` the PASS_TO_PASS tests that do not. Files that decide
    how tests run are taken from the task, whatever the patch says of them: `ignored`. `held_out`
    says whether the held-out tests of the row pass as well: None where it has none, and where the
    visible ones are not resolved. `tampered` patches pass the tests without doing what they say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolved: bool | None
    applies: bool = True
    reason: str = ""
    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    held_out: bool | None = None
    tampered: bool = False
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


def open_jobs(*_: Any) -> dict[str, Job]:
    """What a scoring process does."""

    def make_ready(instance: Instance, _: dict[str, Any], settings: Settings) -> dict[str, Any]:
        prepare(instance, settings)
        return {}

    def judged(instance: Instance, row: dict[str, Any], settings: Settings) -> dict[str, Any]:
        return score(instance, row["patch"], settings).model_dump(mode="json")

    return {"prepare": make_ready, "score": judged}


def score(instance: Instance, patch: str, settings: Settings) -> Score:
    """Score a patch (empty: the untouched base).

    `settings` say which sandbox and how long the tests may take; they run twice at most,
    and where they are resolved some of them again as controls, and the held-out ones. Raises
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
    scored = _read(instance, workspace, run).model_copy(
        update={"ignored": ignored, "test_seconds": run.seconds if run else 0.0}
    )
    if not scored.resolved or run is None:
        return scored
    tree = dataclasses.replace(workspace, files=files)
    scored = _audited(instance, workspace, tree, run, scored)
    return _held_out(instance, tree, scored) if scored.resolved else scored


def _audited(
    instance: Instance, workspace: Workspace, tree: Workspace, run: TestRun, scored: Score
) -> Score:
    """The score of a patch that resolves the tests, by whether they tell the truth."""
    seconds = [scored.test_seconds]

    def test(sandbox: Sandbox) -> TestRun:
        done = workspace.test(sandbox)
        seconds.append(done.seconds)
        return done

    doctested = doctest_files(_wanted(instance))
    found = examples_changed(workspace.contents, tree.contents, doctested)
    if not found:
        audited = audit(workspace, tree, test, run, instance.fail_to_pass)
        found = [audited.finding] if audited.finding else []
    update = {
        "resolved": not found,
        "tampered": bool(found),
        "reason": "; ".join(found),
        "test_seconds": sum(seconds),
    }
    return scored.model_copy(update=update)


def _held_out(instance: Instance, tree: Workspace, scored: Score) -> Score:
    """The score of a patch that resolves the visible tests, by those that nobody was shown."""
    if not instance.held_out_patch:
        return scored
    told = judge(tree, held_out_files(instance))
    update = {
        "resolved": not told.failed,
        "held_out": not told.failed,
        "reason": told.reason,
        "test_seconds": scored.test_seconds + told.seconds,
    }
    return scored.model_copy(update=update)


def _test_files(instance: Instance) -> tuple[str, ...]:
    """The files that hold tests of the row, those beside them, and those of the test patch."""
    before = set(base_files(instance))
    changed = {file.path for file in visible_files(instance) if file not in before}
    tests = with_helpers(test_files(_wanted(instance)), (file.path for file in before))
    return tuple(sorted(changed.union(tests)))


def _wanted(instance: Instance) -> tuple[str, ...]:
    return (*instance.fail_to_pass, *instance.pass_to_pass)


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
    wanted = _wanted(instance)
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
