from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.tasks.issue.describe import leaks, normalised, problem_statement, written_by_policy
from policies.scripted import Reply, Script, ScriptedPolicy
from tests.tasks.telling import CASES, LIBRARY, SAID, SOURCES
from tests.tools.conftest import open_box
from tools.testing.detect import TestCommand
from tools.testing.results import Failure, Frame
from tools.testing.runners import run_tests


@pytest.fixture(scope="module")
def failures() -> Mapping[str, Failure]:
    """Every failure, from one run in a real sandbox."""
    with open_box({"lib.py": LIBRARY, **SOURCES}) as box:
        return run_tests(box, TestCommand((), "pytest"), per_test=2).failures


@pytest.mark.parametrize("name", SAID)
def test_each_failure_is_told_as_a_user_would(failures, name):
    test = f"test_it.py::{name}"
    assert problem_statement({test: failures[test]}, SOURCES, "") == SAID[name]


def test_all_cases_failed(failures):
    told = {test.partition("::")[2] for test in failures if test.startswith("test_it.py")}
    assert told == set(SAID)


def test_a_module_that_cannot_be_imported(failures):
    test = "test_import.py (collection)"
    assert problem_statement({test: failures[test]}, SOURCES, "") == (
        "`from lib import missing` raises `ImportError: cannot import name 'missing' from 'lib'`."
    )


def test_a_crash_shows_nothing_to_a_user(failures):
    test = "test_crash.py::test_crash"
    text = problem_statement({test: failures[test]}, SOURCES, "")
    assert text == ""


def test_three_different_behaviours_are_chosen_and_no_test_is_named(failures):
    names = ("loop_unknown", "not_raised", "raised", "raised_inside", "call", "helper", "constant")
    some = {f"test_it.py::test_{name}": failures[f"test_it.py::test_{name}"] for name in names}
    text = problem_statement(some, SOURCES, "")
    assert text == problem_statement(dict(reversed(some.items())), SOURCES, "")
    assert text.split("\n\n") == [
        "`median([1, 2])` returns `2`, but `1.5` is expected.",
        "`parse('x')` raises `KeyError: 'x'`.",
        "`check(-1)` should raise `ValueError` but does not.",
    ]
    assert "test_" not in problem_statement(failures, SOURCES, "")


def test_no_line_of_the_patch_is_said(failures):
    names = ("test_it.py::test_raised", "test_it.py::test_call")
    some = {name: failures[name] for name in names}
    head = "diff --git a/lib.py b/lib.py\n--- a/lib.py\n+++ b/lib.py\n@@ -1 +1 @@\n"
    removed = f'{head}-    parse( "x" )\n+    pass\n'
    added = f"{head}+    median([1, 2, 3, 4])\n"
    assert problem_statement(some, SOURCES, removed) == CASES["call"][3]
    assert problem_statement(some, SOURCES, added) == CASES["raised"][3]
    assert problem_statement({names[0]: some[names[0]]}, SOURCES, removed) == ""
    assert problem_statement({}, SOURCES, "") == ""


@pytest.mark.parametrize(
    ("text", "line", "leaked"),
    [
        ("it should\n  return x", "+return x", True),
        ("call f('a b')", '-  call f("a b")', True),
        ("x = 12", "+x = 12", False),
        ("return x", " return x", False),
        ("lib.py is wrong", "--- a/lib.py", False),
        ("-- comment of SQL", "--- comment of SQL", True),
    ],
)
def test_what_a_leak_is(text, line, leaked):
    head = "" if line.startswith("--- a/") else "@@ -1 +1 @@\n"
    assert leaks(text, f"diff --git a/lib.py b/lib.py\n{head}{line}\n") is leaked


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("<a.B object at 0x7f0011aabb>", "<a.B>"),
        ("id 0x7f0011aabb", "id 0x…"),
        ("mask 0xff", "mask 0xff"),
        ("'<voluptuous....7f8510ec3410>'", "'<voluptuous…>'"),
        ("'/tmp/pytest-of-u/test_x0/f.txt'", "'/tmp/…'"),
        ("in /workspace/pkg/a.py", "in pkg/a.py"),
        ("from '/usr/lib/python3.11/json/x.py'", "from 'json/x.py'"),
        ("invalid syntax (lib.py, line 3)", "invalid syntax"),
        ("took 1.2345s", "took … s"),
        ("costs 1.25", "costs 1.25"),
    ],
)
def test_what_differs_from_run_to_run_is_left_out(text, same):
    assert normalised(text) == same


def test_a_long_text_is_kept_short():
    source = b"".join(
        b"def test_%d():\n    call_%d('%s')\n" % (n, n, b"`x" * 400) for n in range(9)
    )
    failures = {
        f"t.py::test_{n}": Failure(
            f"ValueError: {n}{'`x' * 400}",
            frames=(Frame("t.py", 2 * n + 2, f"test_{n}"),),
            exception="ValueError",
        )
        for n in range(9)
    }
    assert 0 < len(problem_statement(failures, {"t.py": source}, "")) <= 1500


@pytest.mark.parametrize("bad", [b"def test_a(:\n", b"\xff", b"", b"(" * 5000])
def test_a_source_that_cannot_be_read_says_nothing(bad):
    failure = Failure("KeyError: 'x'", frames=(Frame("t.py", 9, "test_a"),), exception="KeyError")
    said = problem_statement({"t.py::test_a": failure}, {"t.py": bad}, "")
    assert said == ""


PATCH = "diff --git a/l.py b/l.py\n@@ -1 +1 @@\n-    return text\n+    return text.strip()\n"


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        ("  The parser fails on x.\n", "The parser fails on x."),
        ("<think>Why?</think>The parser fails.", "The parser fails."),
        ("It should return text.strip().", None),
        ("See test_parse for more.", None),
        ("See test_parser for more.", "See test_parser for more."),
        ("Run TestA.", None),
        ("It is in t.py.", None),
        ("", None),
        ("<think>Never ends", None),
        ("long " * 400, None),
    ],
)
def test_a_policy_rewrites_the_text_unless_it_says_too_much(answer, used):
    policy = ScriptedPolicy(Script(replies=(Reply(text=answer, when="the template"),)))
    failures = {"t.py::TestA::test_parse[a::b]": Failure("KeyError: 'x'")}
    text = written_by_policy(policy, failures, {"t.py": b""}, PATCH, "the template")
    assert text == (used or "the template")


def test_a_context_that_is_too_short_leaves_the_text():
    policy = ScriptedPolicy(Script(replies=(Reply(text="x"),), context_tokens=10))
    assert written_by_policy(policy, {}, {}, PATCH, "the template") == "the template"
