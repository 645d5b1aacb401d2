"""Which of the failing tests are to turn green."""

import pytest

from agent.repository import Capture
from agent.status import UsageError
from agent.targets import choose_targets
from agent.task import Task
from tools.testing.results import TestRun

RUN = TestRun(
    outcomes={
        "tests/a.py::test_one": "failed",
        "tests/a.py::test_two[1]": "failed",
        "tests/a.py::test_three": "passed",
        "tests/b.py": "error",
    },
    failures={},
    exit_code=1,
    complete=True,
    seconds=1.0,
)


@pytest.mark.parametrize(
    ("asked", "issue", "expected"),
    [
        ((), "page is wrong", ("tests/a.py::test_one", "tests/a.py::test_two[1]", "tests/b.py")),
        ((), "see test_two", ("tests/a.py::test_two[1]",)),
        (("tests/a.py",), "see test_two", ("tests/a.py::test_one", "tests/a.py::test_two[1]")),
        (("tests/a.py::test_three", "tests/a.py::test_one"), "", ("tests/a.py::test_one",)),
        (("tests/a.py::test_three",), "", ()),
        (("tests/b.py::test_of_a_file_that_does_not_load",), "", ("tests/b.py",)),
    ],
)
def test_those_asked_for_or_named_or_all(tmp_path, asked, issue, expected):
    task = Task(issue, Capture(tmp_path, "head", dirty=False, files=()), asked)
    assert choose_targets(task, RUN, "pytest") == expected


def test_a_test_that_nobody_knows_is_told(tmp_path):
    task = Task("", Capture(tmp_path, "head", dirty=False, files=()), ("tests/c.py::test_x",))
    with pytest.raises(UsageError, match="no test matches"):
        choose_targets(task, RUN, "pytest")
