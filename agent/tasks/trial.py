"""A bug on trial: which tests it breaks, in a fresh sandbox."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from agent.tasks.baseline import Baseline, seeded
from agent.tasks.build import hidden
from agent.verify.outcomes import is_pseudo
from agent.workspace import Workspace
from tools.sandbox.base import File
from tools.testing.results import Failure, Frame, TestRun

MOST_BROKEN = 0.5
TOLD_FAILURES = 8
LONG_SECONDS = 3.0
HANGS = 2


class Outcome(StrEnum):
    """What became of a bug."""

    KEPT = "kept"
    UNSEEN = "no test fails"
    HUNG = "a test hangs"
    BREAKS_IMPORT = "the suite does not load"
    TOO_BROAD = "more than half of the tests fail"
    NOT_HIDEABLE = "a failing test cannot be left out"
    FLAKY = "a failing test passes when run again"
    UNTOLD = "the failures say too little for an issue"
    SAME_BEHAVIOUR = "fails just as another one"


class Told(BaseModel):
    """Why a test failed, as far as an issue may tell it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str
    longrepr: str
    exception: str
    frames: tuple[tuple[str, int, str], ...]

    @classmethod
    def of(cls, failure: Failure) -> Told:
        """What is kept of a failure."""
        frames = tuple((frame.path, frame.line, frame.function) for frame in failure.frames)
        return cls(
            message=failure.message,
            longrepr=failure.longrepr,
            exception=failure.exception,
            frames=frames,
        )

    def failure(self) -> Failure:
        """The form in which the test tools report it."""
        frames = tuple(Frame(*frame) for frame in self.frames)
        return Failure(self.message, self.longrepr, frames, self.exception)


class Trial(BaseModel):
    """The outcome for one bug: `lost` are the tests that passed without it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mutation: str
    outcome: Outcome
    lost: tuple[str, ...] = ()
    failures: dict[str, Told] = {}
    seconds: float = 0.0


def limited(workspace: Workspace, baseline: Baseline) -> Workspace:
    """The workspace with time for some slowing down, but not for a loop without end."""
    seconds = min(20.0 + 5.0 * baseline.seconds, workspace.test_timeout)
    return dataclasses.replace(workspace, test_timeout=seconds)


def try_bug(
    workspace: Workspace, baseline: Baseline, mutation: str, file: File, covering: Sequence[str]
) -> Trial:
    """Run all tests with the bug; in a long suite, first those that reach it.

    `file` is the broken file, `covering` the tests that reach it. Raises SandboxError.
    """
    bugged = seeded(workspace.with_file(file), 0)
    stable = frozenset(baseline.stable)
    only = tuple(test for test in covering if test in stable)
    if not only:
        return Trial(mutation=mutation, outcome=Outcome.UNSEEN)
    stages = [only, ()] if baseline.seconds > LONG_SECONDS and len(only) < len(stable) else [()]
    seconds = 0.0
    for asked in stages:
        run, took = _run(bugged, asked)
        seconds += took
        early = _unfit(run) or (None if _lost(run, only) else Outcome.UNSEEN)
        if early is not None:
            return Trial(mutation=mutation, outcome=early, seconds=seconds)
    lost = _lost(run, baseline.stable)
    outcome = Outcome.KEPT
    if len(lost) > MOST_BROKEN * len(stable):
        outcome = Outcome.TOO_BROAD
    elif not _fail_again(bugged, lost):
        outcome = Outcome.FLAKY
    elif not _others_pass(bugged, baseline, lost):
        outcome = Outcome.NOT_HIDEABLE
    kept = outcome is Outcome.KEPT
    return Trial(
        mutation=mutation,
        outcome=outcome,
        lost=lost if kept else (),
        failures=_told(run, lost) if kept else {},
        seconds=seconds,
    )


def _run(workspace: Workspace, only: tuple[str, ...]) -> tuple[TestRun, float]:
    """The tests in a fresh sandbox, with the seconds that they took.

    Hangs are told by the clock, and a machine may be busy: what hangs is run once more.
    """
    seconds = 0.0
    for _ in range(HANGS):
        with workspace.fresh() as sandbox:
            run = workspace.test(sandbox, only)
        seconds += run.seconds
        if _unfit(run) is not Outcome.HUNG:
            break
    return run, seconds


def _fail_again(workspace: Workspace, lost: Sequence[str]) -> bool:
    """Whether the failing tests fail with other hashes, too, and on their own."""
    again = seeded(workspace, 1)
    with again.fresh() as sandbox:
        run = again.test(sandbox, tuple(lost))
    return _lost(run, lost) == tuple(lost)


def _others_pass(workspace: Workspace, baseline: Baseline, lost: Sequence[str]) -> bool:
    """Whether the files that held the failing tests pass without them."""
    held = {file.path: file for file in workspace.files}
    without = hidden(held, lost)
    if without is None:
        return False
    for path, data in without.items():
        workspace = workspace.with_file(dataclasses.replace(held[path], data=data))
    with workspace.fresh() as sandbox:
        run = workspace.test(sandbox, tuple(without))
    stable = frozenset(baseline.stable)
    return not [test for test in run.failing if test in stable or is_pseudo(test)]


def _told(run: TestRun, lost: Sequence[str]) -> dict[str, Told]:
    told = ((test, run.failures.get(test)) for test in lost[:TOLD_FAILURES])
    return {test: Told.of(failure) for test, failure in told if failure is not None}


def _unfit(run: TestRun) -> Outcome | None:
    if "hung" in run.outcomes.values() or run.killed_by:
        return Outcome.HUNG
    if any(is_pseudo(test) for test in run.failing) or not run.complete or run.restarts:
        return Outcome.BREAKS_IMPORT
    return None


def _lost(run: TestRun, tests: Sequence[str]) -> tuple[str, ...]:
    return tuple(test for test in tests if run.outcomes.get(test) != "passed")
