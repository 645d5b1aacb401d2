"""Reading a test run: what counts as green."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tools.testing.results import COLLECTION, COMMAND, FAILING, SESSION, TestRun

PSEUDO = (COLLECTION, SESSION, COMMAND)
_DOCUMENTED = (".py", ".pyi", ".txt", ".rst", ".md")
_LINTERS = frozenset(
    {"ruff", "ruff::format", "flake8", "flake-8::flake8", "black", "isort", "mypy", "mypy-status",
     "pylint", "pycodestyle", "pydocstyle", "pyright"}
)  # fmt: skip


def is_pseudo(test: str) -> bool:
    """Whether an id stands for a file or a session that could not start, not for a test."""
    return test.endswith(PSEUDO)


def is_green(run: TestRun, test: str) -> bool:
    """Whether a test passed in a run; expected failures do not count.

    A collection error (`path (collection)`) is green once the file is collected, some of its tests
    pass and none fails; a session error once the session ends with tests that passed and none that
    failed, and so is a command's that told no tests before.
    """
    if test == COMMAND and test in run.outcomes:
        return run.outcomes[test] == "passed"
    if test in (SESSION, COMMAND):
        return test not in run.outcomes and run.complete and bool(run.passing) and not run.failing
    if not test.endswith(COLLECTION):
        return run.outcomes.get(test) == "passed"
    prefix = test.removesuffix(COLLECTION) + "::"
    inside = [outcome for name, outcome in run.outcomes.items() if name.startswith(prefix)]
    return test not in run.outcomes and "passed" in inside and not FAILING.intersection(inside)


def passed(run: TestRun) -> tuple[str, ...]:
    """The tests that passed outright."""
    return tuple(test for test, outcome in run.outcomes.items() if outcome == "passed")


def broken(before: TestRun, after: TestRun) -> tuple[str, ...]:
    """Tests that were better off before: passed and do not any more, or fail where they did not."""
    same = before.outcomes.keys() & {*after.outcomes, *missing(before, after)}
    return tuple(
        test
        for test, outcome in before.outcomes.items()
        if (outcome == "passed" and test in same and after.outcomes.get(test) != "passed")
        or (outcome not in FAILING and after.outcomes.get(test) in FAILING)
    )


def newly_failing(before: TestRun, after: TestRun) -> tuple[str, ...]:
    """Tests that fail and were not there before."""
    return tuple(test for test in after.failing if test not in before.outcomes)


def missing(before: TestRun, after: TestRun) -> list[str]:
    """Tests that were there before and are not any more.

    Cases of a parametrised test may have got other names: they are not missing when the test has
    at least as many cases as before, and none of them fails.
    """
    gone = [t for t in before.outcomes if t not in after.outcomes and not is_pseudo(t)]
    had, has = (Counter(map(_function, run.outcomes)) for run in (before, after))
    bad = {_function(test) for test in after.failing}
    return sorted(
        test
        for test in gone
        if "[" not in test or _function(test) in bad or has[_function(test)] < had[_function(test)]
    )


def _function(test: str) -> str:
    return test.split("[", 1)[0]


def lacking(run: TestRun) -> str:
    """What to say of a run for want of packages."""
    return f"the tests need packages that are not installed: {', '.join(run.missing_modules)}"


def lacks_module(run: TestRun, test: str) -> bool:
    """Whether a file could not be collected because a package is not installed."""
    failure = run.failures.get(test)
    message = failure.message if failure else ""
    return test.endswith(COLLECTION) and any(m in message for m in run.missing_modules)


def test_files(tests: Iterable[str]) -> tuple[str, ...]:
    """The files that hold tests; sources with doctests, or that a linter looks at, are none."""
    files = {
        test.split("::", 1)[0].removesuffix(COLLECTION)
        for test in tests
        if ("::" in test or _is_foreign_file(test))
        and not _is_doctest(test)
        and test.partition("::")[2].lower() not in _LINTERS
    }
    return tuple(sorted(files))


def _is_foreign_file(test: str) -> bool:
    """Whether an id is a file that did not load, of a runner that takes nothing but tests."""
    return test.endswith(COLLECTION) and not test.removesuffix(COLLECTION).endswith(_DOCUMENTED)


def doctest_files(tests: Iterable[str]) -> frozenset[str]:
    """The sources whose docstrings are tests."""
    return frozenset(test.split("::", 1)[0] for test in tests if _is_doctest(test))


def _is_doctest(test: str) -> bool:
    path, _, name = test.partition("::")
    return path.endswith(_DOCUMENTED) and "." in name.rpartition("::")[2].split("[", 1)[0]
