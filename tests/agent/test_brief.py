"""What attempts are told: the most useful first, within a number of tokens."""

from __future__ import annotations

from agent.context.brief import make_brief
from tools.codemap import Codemap
from tools.testing.results import Failure, TestRun

SOURCE = b"""\
def helper(value):
    return value + 1


def shown(value):
    return helper(value)


def user(value):
    return shown(value)


def long(value):
    return (
        value,
        value,
    )
"""
TESTS = b"def test_shown():\n    assert shown(1) == 3\n\n\ndef test_long():\n    assert long(1)\n"
FILES = {"lib.py": SOURCE, "tests/test_lib.py": TESTS}
TARGETS = ("tests/test_lib.py::test_shown", "tests/test_lib.py::test_long")
FAILURES = {test: Failure(message="assert 2 == 3") for test in TARGETS}
RUN = TestRun(dict.fromkeys(TARGETS, "failed"), FAILURES, 1, complete=True, seconds=0.0)


def brief(tokens, issue="shown is wrong", ranked=("shown", "long")):
    return make_brief(
        issue,
        RUN,
        TARGETS,
        Codemap.build(FILES.items()),
        FILES,
        [(f"lib.py::{name}", 1.0) for name in ranked],
        changeable={f"lib.py::{name}" for name in ("helper", "shown", "user", "long")},
        calls_tools=False,
        prompt_tokens=tokens,
        count=lambda text: len(text.split()),
    )


def test_suspects_stand_in_full_and_their_neighbours_by_signature():
    made = brief(200)
    assert list(made.sources) == ["lib.py::shown", "lib.py::long"]
    assert "lib.py::helper: def helper(value)" in made.task
    assert "lib.py::user: def user(value)" in made.task
    assert "return value + 1" not in made.task
    assert made.task.count("def test_shown():") == 1
    assert "tests/test_lib.py::test_shown: " not in made.task


def test_what_does_not_fit_is_left_out_and_the_first_suspect_never():
    room = len(brief(200).task.split())
    assert "lib.py::user" not in brief(room - 1).task
    tight = brief(20)
    assert list(tight.sources) == ["lib.py::shown"]
    assert tight.task.count("# Failing tests") == 1
    assert TARGETS[1] not in tight.task
    assert "return helper(value)" in tight.task
    assert "def test_shown" not in tight.task


def test_a_long_issue_loses_its_middle():
    issue = "first " + "word " * 2000 + "last"
    made = brief(250, issue)
    assert len(made.task.split()) <= 250
    assert "first" in made.task
    assert "last" in made.task
    assert "characters cut" in made.task
    assert issue in made.infill_task
