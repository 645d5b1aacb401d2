"""Which of the failing tests are to turn green."""

from __future__ import annotations

from agent.status import EnvironmentFailure, UsageError
from agent.task import Task
from agent.verify.outcomes import lacking, lacks_module
from tools.testing.results import COLLECTION, PASSING, TestRun


def choose_targets(task: Task, run: TestRun, framework: str) -> tuple[str, ...]:
    """The failing tests that the task asks for, those that its issue names, or all.

    Empty when those asked for pass, or nothing fails. Raises UsageError when none is what the task
    asks for, or those do not run, and EnvironmentFailure when nothing (or nothing of what is asked
    for) runs for want of packages.
    """
    failing = [test for test in run.failing if not lacks_module(run, test)]
    if run.missing_modules and not failing and not run.passing:
        raise _without_packages(run)
    asked = task.targets
    if asked:
        known = [
            test
            for test in run.outcomes
            if any(_belongs(test, one) or _hides(test, one) for one in asked)
        ]
        if not known:
            raise UsageError(
                f"no test matches {', '.join(asked)}",
                "Name tests as the runner does, for example tests/test_x.py::test_y.",
            )
        wanted = tuple(t for t in known if t in failing)
        if not wanted and any(test in run.failing for test in known):
            raise _without_packages(run)
        if not wanted and not any(run.outcomes[test] in PASSING for test in known):
            raise UsageError(
                f"{known[0]} is skipped, and cannot show the bug",
                "Name a test that runs here, or install what it needs.",
            )
        return wanted
    named = [test for test in failing if _is_named(test, task.issue, framework)]
    return tuple(named or failing)


def _without_packages(run: TestRun) -> EnvironmentFailure:
    return EnvironmentFailure(
        lacking(run),
        "Install them in a virtual environment and name it with --env, or activate it.",
    )


def _belongs(test: str, asked: str) -> bool:
    name = test.removesuffix(COLLECTION)
    return asked in (test, name) or name.startswith((f"{asked}::", f"{asked}["))


def _hides(test: str, asked: str) -> bool:
    """Whether it is the file that could not be collected with what is asked for in it."""
    return test.endswith(COLLECTION) and asked.startswith(f"{test.removesuffix(COLLECTION)}::")


def _is_named(test: str, issue: str, framework: str) -> bool:
    """Whether the issue names a test: by its id, one of pytest's also by its function."""
    function = test.rpartition("::")[2].split("[", 1)[0]
    return test in issue or (framework == "pytest" and function in issue)
