"""Which tests of a repository can be relied on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from agent.status import EnvironmentFailure, UsageError
from agent.verify.outcomes import lacking, lacks_module, passed
from agent.workspace import Workspace
from tools.testing.results import TestEnvironmentError, TestRun

RUNS = 3


@dataclass(frozen=True)
class Baseline:
    """A suite before any bug. `stable` passed in every run; `flaky` in some; `failing` in none.

    `run` is the first run, with the functions that each test called.
    """

    run: TestRun
    stable: tuple[str, ...]
    flaky: tuple[str, ...]
    failing: tuple[str, ...]
    seconds: float


def seeded(workspace: Workspace, seed: int) -> Workspace:
    """The workspace with Python's hashes fixed, so that sets come in one order."""
    env = (*workspace.command.env, ("PYTHONHASHSEED", str(seed)))
    return dataclasses.replace(workspace, command=dataclasses.replace(workspace.command, env=env))


def take_baseline(workspace: Workspace, runs: int = RUNS) -> Baseline:
    """Run the suite several times, each in a fresh sandbox with other hashes.

    Raises UsageError when nothing in it can be relied on, EnvironmentFailure when it does not run.
    """
    first = _run(workspace, 0, trace=True)
    _check(first)
    others = [_run(workspace, seed, trace=False) for seed in range(1, runs)]
    always = set(passed(first)).intersection(*(passed(run) for run in others))
    ever = set(passed(first)).union(*(passed(run) for run in others))
    stable = tuple(test for test in first.outcomes if test in always)
    if not stable:
        raise UsageError("no test passes every time", "Mend the suite first, or name another.")
    return Baseline(
        run=first,
        stable=stable,
        flaky=tuple(sorted(ever - always)),
        failing=tuple(test for test in first.failing if test not in ever),
        seconds=max(run.seconds for run in others or [first]),
    )


def _run(workspace: Workspace, seed: int, *, trace: bool) -> TestRun:
    try:
        with workspace.fresh() as sandbox:
            run = seeded(workspace, seed).test(sandbox, trace=trace)
    except TestEnvironmentError as error:
        raise EnvironmentFailure(str(error)) from error
    if run.killed_by == "timeout" or (not run.complete and run.seconds >= workspace.test_timeout):
        raise UsageError(
            f"the suite takes longer than {workspace.test_timeout:.0f} s",
            "Raise --test-timeout, or name a part of the suite with --test-cmd.",
        )
    return run


def _check(run: TestRun) -> None:
    if not run.outcomes:
        lines = [line for line in run.output.splitlines() if line.strip()]
        raise UsageError(f"the suite has no tests ({lines[-1] if lines else 'no output'})")
    if passed(run):
        return
    if run.missing_modules:
        raise EnvironmentFailure(
            lacking(run),
            "Name them with --package.",
        )
    broken = [test for test in run.failing if not lacks_module(run, test)]
    first = run.failures.get(broken[0]) if broken else None
    raise UsageError(
        f"no test passes before any bug is made ({run.summary}): {first.message if first else ''}",
        "Name what the tests need with --package, or how they are run with --test-cmd.",
    )
