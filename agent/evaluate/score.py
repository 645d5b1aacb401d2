"""The scorer: a patch in text form against the tests of a task, in a fresh sandbox.

It is given nothing of the run that made the patch, and rebuilds the tree from the instance.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from agent.config import Settings
from agent.tasks.baseline import seeded
from agent.tasks.environment import declared, with_environment
from agent.tasks.instance import EnvironmentSetup, Instance
from agent.tasks.tree import base_files, capture_of, source, visible_files
from agent.verify.patch import split
from agent.workspace import Workspace, make_workspace, timed
from tools.sandbox.base import PatchError
from tools.testing.results import TestRun


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
    seconds: float = 0.0
    test_seconds: float = 0.0


def environment_of(instance: Instance) -> EnvironmentSetup:
    """What the tests need: as the row says, else as its repository declares."""
    return instance.environment_setup or EnvironmentSetup(packages=declared(source(instance).files))


def score(instance: Instance, patch: str, settings: Settings) -> Score:
    """Score a patch (empty: the untouched base). Raises AgentError, SandboxError.

    `settings` say which sandbox and how long the tests may take.
    """
    clock = timed()
    capture = capture_of(instance, "visible")
    own = with_environment(settings, environment_of(instance))
    workspace = seeded(make_workspace(capture, own), 0)
    parts = split(patch, _test_files(instance))
    with workspace.fresh() as sandbox:
        try:
            if parts.diff:
                sandbox.apply(parts.diff)
        except PatchError as error:
            return Score(resolved=False, applies=False, reason=str(error), seconds=clock())
        run = workspace.test(sandbox)
    ignored = (*parts.findings, *parts.dropped)
    return _read(instance, workspace, run, ignored).model_copy(
        update={"seconds": clock(), "test_seconds": run.seconds}
    )


def _test_files(instance: Instance) -> tuple[str, ...]:
    """The files that hold tests of the row, and those that the test patch leaves."""
    before = set(base_files(instance))
    changed = {file.path for file in visible_files(instance) if file not in before}
    tests = (*instance.fail_to_pass, *instance.pass_to_pass)
    return tuple(sorted(changed | {test.split("::", 1)[0] for test in tests}))


def _read(
    instance: Instance, workspace: Workspace, run: TestRun, ignored: tuple[str, ...]
) -> Score:
    wanted = (*instance.fail_to_pass, *instance.pass_to_pass)
    absent = [test for test in wanted if test not in run.outcomes]
    if absent and (unknown := _unknown(workspace, absent)):
        reason = f"{len(unknown)} tests of the row do not exist: {', '.join(unknown[:3])}"
        return Score(resolved=None, reason=reason, ignored=ignored)
    fixed = tuple(t for t in instance.fail_to_pass if run.outcomes.get(t) == "passed")
    broken = tuple(t for t in instance.pass_to_pass if run.outcomes.get(t) != "passed")
    reasons = []
    if not run.complete:
        said = [line for line in run.output.splitlines() if line.strip()]
        reasons.append(f"the test run did not finish ({run.summary}): {''.join(said[-1:])[:200]}")
    if left := len(instance.fail_to_pass) - len(fixed):
        reasons.append(f"{left} of {len(instance.fail_to_pass)} failing tests still fail")
    if broken:
        reasons.append(f"{len(broken)} passing tests no longer pass: {', '.join(broken[:3])}")
    return Score(
        resolved=not reasons,
        reason="; ".join(reasons),
        fixed=fixed,
        broken=broken,
        ignored=ignored,
    )


def _unknown(workspace: Workspace, absent: list[str]) -> list[str]:
    """Which of these tests are not there without any patch either."""
    with workspace.fresh() as sandbox:
        known = workspace.test(sandbox).outcomes
    return [test for test in absent if test not in known]
