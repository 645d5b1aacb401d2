from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.tasks.describe import NOTHING, leaks, normalised, problem_statement, written_by_policy
from policies.scripted import Reply, Script, ScriptedPolicy
from tests.tools.conftest import open_box
from tools.testing.detect import TestCommand
from tools.testing.results import Failure, Frame
from tools.testing.runners import run_tests

LIBRARY = """\
import time
import warnings


class Item:
    pass


class Basket:
    def __init__(self, *prices):
        self.prices = list(prices)
        if -1 in prices:
            raise OSError("no price")

    def add(self, price):
        self.prices.append(price)

    def total(self):
        return sum(self.prices[1:])


def median(values):
    return sorted(values)[len(values) // 2]


def parse(text):
    return {"a": 1}[text]


def check(number):
    return number


def make(number):
    return Item()


def words(text):
    return text.split()


def wait():
    time.sleep(60)


def insist(number):
    assert number > 3, "too small"
"""

TESTS = """\
import math
import unittest
import warnings

import pytest

import lib
from lib import Basket, check, insist, make, median, parse, wait, words

NUMBERS = [1, 2, 3, 4]
CASES = [(9, "p"), (10, "q-r")]


@pytest.fixture
def item():
    return parse("of the fixture")


def helper(values):
    assert median(values) == 1.5


class TestGroup(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(median([1, 2, 3, 4]), 2.5)

    def test_equal_message(self):
        self.assertEqual(median([1, 2]), 1.5, "of two")

    def test_lists(self):
        self.assertEqual(words("a b"), ["a", "c"])

    def test_in(self):
        self.assertIn("z", words("a b"))

    def test_true(self):
        self.assertTrue(check(0))

    def test_none(self):
        self.assertIsNone(check(5))

    def test_almost(self):
        self.assertAlmostEqual(check(5), 5.5, places=3)

    def test_raises(self):
        with self.assertRaises(ValueError):
            check(3)

    def test_raises_called(self):
        self.assertRaises(ValueError, check, 3)

    def test_raised(self):
        self.assertEqual(parse("b"), 1)


"""

# name -> arguments, body, decorator, and what is said.
CASES: dict[str, tuple[str, str, str, str]] = {}


def case(name, body, said, arguments="", decorator=""):
    CASES[name] = (arguments, body, decorator, said)


case(
    "call",
    "assert median([1, 2, 3, 4]) == 2.5",
    "`median([1, 2, 3, 4])` returns `3`, but `2.5` is expected.",
)
case(
    "swapped",
    "assert 2.5 == median([1, 2, 3, 4])",
    "`median([1, 2, 3, 4])` returns `3`, but `2.5` is expected.",
)
case(
    "constant",
    "assert lib.median(NUMBERS) == 2.5",
    "`lib.median([1, 2, 3, 4])` returns `3`, but `2.5` is expected.",
)
case(
    "variables",
    'text = "a b"\nfound = words(text)\nassert found == ["a"]',
    "`words('a b')` returns `['a', 'b']`, but `['a']` is expected.",
)
case(
    "steps",
    "basket = Basket(1)\nassert basket.prices\nbasket.add(2)\nbasket.add(3)\n"
    "assert basket.total() == 6",
    "After\n\n```python\nbasket = Basket(1)\nbasket.add(2)\nbasket.add(3)\n```\n\n"
    "`basket.total()` returns `5`, but `6` is expected.",
)
case(
    "changed_since",
    "values = [1]\nvalues.append(5)\nassert median(values) == 3",
    "`median([1, 5])` returns `5`, but `3` is expected.",
)
case("helper", "helper([1, 2])", "`median([1, 2])` returns `2`, but `1.5` is expected.")
case(
    "attribute",
    "assert Basket(1).prices == [2]",
    "`Basket(1).prices` is `[1]`, but `[2]` is expected.",
)
case(
    "approx",
    "assert check(1) == pytest.approx(2)",
    "`check(1)` returns `1`, but about `2` is expected.",
)
case("message", 'assert check(1) == 2, "wrong"', "`check(1)` returns `1`, but `2` is expected.")
case("not", "assert not check(4)", "`check(4)` returns `4`, but a false value is expected.")
case("truth", "assert math.isnan(1)", "`math.isnan(1)` returns `False`, but `True` is expected.")
case("both", "assert check(1) and check(0)", "`check(1) and check(0)` should hold, but does not.")
case(
    "less", "assert check(4) < 2", "`check(4)` returns `4`, but a value less than `2` is expected."
)
case(
    "more", "assert 9 <= check(4)", "`check(4)` returns `4`, but a value at least `9` is expected."
)
case("differs", "assert check(4) != 4", "`check(4)` should differ from `4`.")
case("none", "assert check(4) is None", "`check(4)` returns `4`, but `None` is expected.")
case(
    "contains",
    'assert "z" in words("a b")',
    "`words('a b')` returns `['a', 'b']`, which does not contain `'z'`.",
)
case(
    "lacks",
    'assert "a" not in words("a b")',
    "`words('a b')` returns `['a', 'b']`, which contains `'a'`.",
)
case(
    "one_of",
    "assert check(3) in (1, 2)",
    "`check(3)` returns `3`, but a value in `(1, 2)` is expected.",
)
case("object", "assert make(1) == 3", "`make(1)` returns `<lib.Item>`, but `3` is expected.")
case("objects", "assert make(1) == make(2)", "`make(1)` should equal `make(2)`, but does not.")
case(
    "long",
    'assert words("x " * 30 + "a") == ["x"] * 30 + ["b"]',
    "`words('x ' * 30 + 'a')` is not what is expected: item 30 (from 0) is `'a'` instead of `'b'`.",
)
case(
    "long_text",
    'assert check("a" * 40 + "\\nb") == "a" * 40 + "\\nc"',
    "`check('a' * 40 + '\\nb')` is not what is expected: it holds `b` instead of `c`.",
)
case(
    "two_signs",
    'assert check("a == b") == "c"',
    "`check('a == b')` returns `'a == b'`, but `'c'` is expected.",
)
case("raised", 'parse("x")', "`parse('x')` raises `KeyError: 'x'`.")
case("raised_inside", 'assert str(parse("x")) == "1"', "`parse('x')` raises `KeyError: 'x'`.")
case("raised_by_class", "Basket(-1).total()", "`Basket(-1)` raises `OSError: no price`.")
case(
    "raised_here",
    "check(1).missing",
    "`check(1).missing` raises `AttributeError: 'int' object has no attribute 'missing'`.",
)
case("library_assert", "insist(2)", "`insist(2)` raises `AssertionError: too small`.")
case(
    "other_raised",
    'with pytest.raises(ValueError):\n    parse("x")',
    "`parse('x')` raises `KeyError: 'x'`, but `ValueError` is expected.",
)
case("in_fixture", "pass", "`parse('of the fixture')` raises `KeyError: 'of the fixture'`.", "item")
case(
    "not_raised",
    "with pytest.raises(ValueError):\n    check(-1)",
    "`check(-1)` should raise `ValueError` but does not.",
)
case(
    "none_raised",
    "with pytest.raises((ValueError, TypeError)):\n    number = 2\n    check(-number)",
    "`check(-2)` should raise `ValueError` or `TypeError` but does not.",
)
case(
    "not_raised_called",
    "pytest.raises(ValueError, check, 3)",
    "`check(3)` should raise `ValueError` but does not.",
)
case(
    "no_warning",
    "with pytest.warns(DeprecationWarning):\n    check(1)",
    "`check(1)` should warn with `DeprecationWarning` but does not.",
)
case("hangs", "wait()", "`wait()` never returns.")
case("fails", 'pytest.fail("the table is empty")', "The table is empty.")
case(
    "loop",
    'for text, found in [("a", ["a"]), ("b c", ["b"])]:\n    assert words(text) == found',
    "`words(text)` returns `['b', 'c']`, but `['b']` is expected.",
)
case(
    "folder",
    "assert check(str(tmp_path)) == 1",
    "`check('/tmp/…')` returns `'/tmp/…'`, but `1` is expected.",
    "tmp_path",
)
PARAMETERS = {
    "[x-y-5]": "`parse('x-y')` raises `KeyError: 'x-y'`.",
    "[k::v[1]-3]": "`parse('k::v[1]')` raises `KeyError: 'k::v[1]'`.",
    "[named]": "`parse(None)` raises `KeyError: None`.",
    "[text3-6]": "`parse(('t',))` raises `KeyError: ('t',)`.",
}
case(
    "parameters",
    "parse(text)",
    "",
    "text, number",
    '@pytest.mark.parametrize("text, number", [("x-y", 5), ("k::v[1]", 3), '
    'pytest.param(None, 1, id="named"), (("t",), 6)])',
)
case(
    "stacked",
    "parse((one, two, three))",
    "",
    "one, two, three",
    '@pytest.mark.parametrize("one", [True])\n@pytest.mark.parametrize(("two", "three"), CASES)',
)
GROUP = {
    "test_equal": CASES["call"][3],
    "test_equal_message": "`median([1, 2])` returns `2`, but `1.5` is expected.",
    "test_lists": "`words('a b')` returns `['a', 'b']`, but `['a', 'c']` is expected.",
    "test_in": "`words('a b')` returns `['a', 'b']`, which does not contain `'z'`.",
    "test_true": "`check(0)` returns `0`, but a true value is expected.",
    "test_none": "`check(5)` returns `5`, but `None` is expected.",
    "test_almost": "`check(5)` returns `5`, but about `5.5` is expected.",
    "test_raises": "`check(3)` should raise `ValueError` but does not.",
    "test_raises_called": "`check(3)` should raise `ValueError` but does not.",
    "test_raised": "`parse('b')` raises `KeyError: 'b'`.",
}
SAID = {
    **{f"test_{name}": said for name, (_, _, _, said) in CASES.items() if said},
    **{f"test_parameters{given}": said for given, said in PARAMETERS.items()},
    "test_stacked[9-p-True]": "`parse((True, 9, 'p'))` raises `KeyError: (True, 9, 'p')`.",
    "test_stacked[10-q-r-True]": "`parse((True, 10, 'q-r'))` raises `KeyError: (True, 10, 'q-r')`.",
    **{f"TestGroup::{name}": said for name, said in GROUP.items()},
}


def source() -> str:
    functions = (
        f"{decorator}\ndef test_{name}({arguments}):\n"
        + "".join(f"    {line}\n" for line in body.split("\n"))
        for name, (arguments, body, decorator, _) in CASES.items()
    )
    return TESTS + "\n\n".join(functions)


SOURCES = {
    "test_it.py": source().encode(),
    "test_import.py": b"from lib import missing\n\n\ndef test_a():\n    missing()\n",
    "test_crash.py": b"import os\n\n\ndef test_crash():\n    os.abort()\n",
}


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


def test_a_crash_is_told_by_its_signal(failures):
    test = "test_crash.py::test_crash"
    text = problem_statement({test: failures[test]}, SOURCES, "")
    assert text == "The process was killed by signal 6."


def test_three_different_behaviours_are_chosen_and_no_test_is_named(failures):
    names = ("loop", "not_raised", "raised", "raised_inside", "call", "helper", "constant")
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
    assert problem_statement({names[0]: some[names[0]]}, SOURCES, removed) == (
        "An unexpected `KeyError` is raised."
    )
    assert problem_statement({}, SOURCES, "") == NOTHING


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
    failures = {
        f"t.py::test_{n}": Failure(f"ValueError: {n}{'`x' * 400}", exception="ValueError")
        for n in range(9)
    }
    assert 0 < len(problem_statement(failures, {}, "")) <= 1500


@pytest.mark.parametrize("bad", [b"def test_a(:\n", b"\xff", b"", b"(" * 5000])
def test_a_source_that_cannot_be_read_leaves_the_message(bad):
    failure = Failure("KeyError: 'x'", frames=(Frame("t.py", 9, "test_a"),), exception="KeyError")
    said = problem_statement({"t.py::test_a": failure}, {"t.py": bad}, "")
    assert said == "A call ends with `KeyError: 'x'`."


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
