"""Which of the failing tests are to turn green."""

import dataclasses

import pytest

from agent.repository import Capture
from agent.status import EnvironmentFailure, UsageError
from agent.targets import choose_targets
from agent.task import Task
from tools.testing.results import Failure, TestRun

LOST = "tests/b.py (collection)"
RUN = TestRun(
    outcomes={
        "tests/a.py::test_one": "failed",
        "tests/a.py::test_two[1]": "failed",
        "tests/a.py::test_three": "passed",
        LOST: "error",
        "tests/c.py::test_idle": "skipped",
    },
    failures={},
    exit_code=1,
    complete=True,
    seconds=1.0,
)


@pytest.mark.parametrize(
    ("asked", "issue", "expected"),
    [
        ((), "page is wrong", ("tests/a.py::test_one", "tests/a.py::test_two[1]", LOST)),
        ((), "see test_two", ("tests/a.py::test_two[1]",)),
        (("tests/a.py",), "see test_two", ("tests/a.py::test_one", "tests/a.py::test_two[1]")),
        (("tests/a.py::test_three", "tests/a.py::test_one"), "", ("tests/a.py::test_one",)),
        (("tests/a.py::test_three",), "", ()),
        (("tests/b.py::test_of_a_file_that_does_not_load",), "", (LOST,)),
        (("tests/b.py",), "", (LOST,)),
        (("tests/c.py", "tests/a.py::test_one"), "", ("tests/a.py::test_one",)),
        (("tests/c.py", "tests/a.py::test_three"), "", ()),
    ],
)
def test_those_asked_for_or_named_or_all(tmp_path, asked, issue, expected):
    task = Task(issue, Capture(tmp_path, "head", dirty=False, files=()), asked)
    assert choose_targets(task, RUN, "pytest") == expected


def test_a_test_that_nobody_knows_is_told(tmp_path):
    task = Task("", Capture(tmp_path, "head", dirty=False, files=()), ("tests/d.py::test_x",))
    with pytest.raises(UsageError, match="no test matches"):
        choose_targets(task, RUN, "pytest")


def test_a_test_that_is_skipped_is_told(tmp_path):
    task = Task("", Capture(tmp_path, "head", dirty=False, files=()), ("tests/c.py",))
    with pytest.raises(UsageError, match=r"tests/c\.py::test_idle is skipped"):
        choose_targets(task, RUN, "pytest")


def test_a_test_whose_packages_are_missing_does_not_pass(tmp_path):
    lost = Failure("ModuleNotFoundError: No module named 'yaml'")
    run = dataclasses.replace(RUN, failures={LOST: lost}, missing_modules=("yaml",))
    task = Task("", Capture(tmp_path, "head", dirty=False, files=()), ("tests/b.py::test_x",))
    with pytest.raises(EnvironmentFailure, match="not installed: yaml"):
        choose_targets(task, run, "pytest")
