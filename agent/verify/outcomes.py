"""Reading a test run: what counts as green."""

from __future__ import annotations

from tools.testing.results import COLLECTION, PASSING, TestRun


def is_green(run: TestRun, test: str) -> bool:
    """Whether a test passed in a run.

    A collection error (`path (collection)`) is green once the file is collected and all of its
    tests pass.
    """
    if not test.endswith(COLLECTION):
        return run.outcomes.get(test) in PASSING
    prefix = test.removesuffix(COLLECTION) + "::"
    inside = [outcome for name, outcome in run.outcomes.items() if name.startswith(prefix)]
    return test not in run.outcomes and bool(inside) and all(o in PASSING for o in inside)


def lacks_module(run: TestRun, test: str) -> bool:
    """Whether a file could not be collected because a package is not installed."""
    failure = run.failures.get(test)
    message = failure.message if failure else ""
    return test.endswith(COLLECTION) and any(m in message for m in run.missing_modules)
