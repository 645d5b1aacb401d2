"""Edits tried in bulk in a real sandbox, against what a run of pytest says of each."""

from __future__ import annotations

import pytest

from tests.tools.conftest import Box
from tools.repairs.edit import Edit
from tools.testing.detect import TestCommand
from tools.testing.screen import LEAST_TOLD, Screening, screen

PYTEST = TestCommand((), "pytest")
CODE = b'''\
from __future__ import annotations, division

import functools

RATE = 2


def counted(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper


def registered(table):
    def decorate(function):
        table["name"] = function.__name__
        return function
    return decorate


NAMES = {}


@registered(NAMES)
def half(x):
    return x // 3


class Shape:
    """A shape."""

    def __init__(self, side=2):
        self.side = side

    @property
    def area(self):
        return self.side + self.side * 2

    @staticmethod
    @counted
    def double(x):
        return [(lambda y: y + x)(y) for y in (x,)][0] - 1


def maker(a, b):
    def inner():
        return a
    return inner


SECOND = maker(1, 2)


def loops(n):
    while n > 0:
        n -= 1
    return n
'''
TESTS = """\
import pytest
from mod import NAMES, RATE, SECOND, Shape, half, loops


def test_half():
    assert half(8) == 4


@pytest.mark.parametrize("side", [3, 4])
def test_area(side):
    assert Shape(side).area == side * side


def test_double():
    assert Shape.double(4) == 8


def test_rate():
    assert RATE == 3


def test_side():
    assert Shape().side == 3


def test_name():
    assert NAMES == {"name": "half!"}


def test_second():
    assert SECOND() == 2


def test_loops():
    assert loops(3) == 0


def test_half_of_nothing():
    assert half(0) == 0
"""
FILES = {"mod.py": CODE, "test_mod.py": TESTS}


def edit(old: str, new: str, symbol: str = "mod.py::x") -> Edit:
    assert CODE.count(old.encode()) == 1, old
    start = CODE.index(old.encode())
    return Edit("mod.py", start, start + len(old.encode()), new, symbol)


def tried(box: Box, test: str, *edits: Edit, **more: object) -> Screening:
    return screen(box(FILES), PYTEST, [f"test_mod.py::{test}"], edits=edits, seconds=30, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("test", "old", "new"),
    [
        ("test_half", "x // 3", "x // 2"),
        ("test_area[4]", "self.side + self.side * 2", "self.side * self.side"),
        ("test_double", "[0] - 1", "[0]"),
    ],
    ids=["function", "property", "wrapped function"],
)
def test_a_body_is_swapped_in_live_functions(box, test, old, new):
    found = tried(box, test, edit(old, new), edit(old, f"{new} + 1"))
    assert (found.started, found.base, found.clean, found.cold) == (True, frozenset(), (0,), ())
    assert found.trials[1].clean is False


@pytest.mark.parametrize(
    ("test", "old", "new"),
    [
        ("test_rate", "RATE = 2", "RATE = 3"),
        ("test_side", "side=2", "side=3"),
        ("test_name", "function.__name__", 'function.__name__ + "!"'),
        ("test_second", "return a\n", "return b\n"),
    ],
    ids=["constant", "default", "decorator that ran at import", "closure made at import"],
)
def test_what_runs_at_import_is_tried_with_a_new_import(box, test, old, new):
    assert tried(box, test, edit(old, new)).clean == (0,)


def test_an_edit_that_breaks_related_tests_is_not_clean(box):
    good, bad = edit("x // 3", "x // 2", "a"), edit("x // 3", "x - 4", "a")
    others = {"a": ["test_mod.py::test_half_of_nothing"]}
    found = tried(box, "test_half", bad, good, others=others)
    assert (found.trials[0].clean, found.trials[1].clean) == (False, True)
    assert found.trials[0].passed == {"test_mod.py::test_half"}


def test_what_is_no_program_or_the_same_program_is_left_out(box):
    found = tried(
        box,
        "test_half",
        edit("x // 3", "x // ("),
        edit("x // 3", "(x // 3)"),
        edit("x // 3", "x // 2"),
        edit("x // 3", "(x // 2)"),
    )
    assert (found.broken, found.idle, found.void, found.clean) == ((0,), (1,), (3,), (2,))
    assert found.failed == (0, 1)


def test_an_edit_that_hangs_is_ended_and_the_others_go_on(box):
    slow = edit("n -= 1", "n -= 0")
    dies = edit("n -= 1", "__import__('os')._exit(0)")
    found = tried(box, "test_loops", slow, dies, edit("n -= 1", "n -= 3"), per_edit=20.0)
    assert [found.trials[n].clean for n in range(3)] == [None, None, True]
    assert (found.unfinished({"test_mod.py::test_loops"}), found.failed) == ((0, 1), ())
    assert found.base == {"test_mod.py::test_loops"}
    assert found.seconds < 15


def test_where_the_untouched_code_does_not_end_nothing_is_known(box):
    files = {**FILES, "test_mod.py": f"{TESTS}\ndef test_hangs():\n    while True: pass\n"}
    found = screen(
        box(files), PYTEST, ["test_mod.py::test_hangs"], edits=[edit("x // 3", "x")], seconds=30,
        per_edit=2.0,
    )  # fmt: skip
    assert found.trials[0].clean is None
    assert (found.settled, found.unfinished({"test_mod.py::test_hangs"})) == (False, ())


def test_where_only_others_do_not_end_nothing_is_known(box):
    slow = edit("n -= 1", "n = 0 if n == 3 else n", "a")
    others = {"a": ["test_mod.py::test_half_of_nothing", "test_mod.py::test_longer"]}
    files = {**FILES, "test_mod.py": f"{TESTS}\ndef test_longer():\n    assert loops(4) == 0\n"}
    probes = ["test_mod.py::test_loops"]
    found = screen(
        box(files), PYTEST, probes, others=others, edits=[slow], seconds=30, others_seconds=1.0
    )
    assert (found.trials[0].clean, found.unfinished(probes)) == (None, ())


@pytest.mark.parametrize("patient", [False, True])
def test_who_is_patient_waits_for_an_edit_that_takes_longer(box, patient):
    busy = "import time; end = time.process_time() + 1\n"
    slow = edit("n -= 1", f"{busy}        while time.process_time() < end: n = 0")
    found = tried(box, "test_loops", slow, patient=patient, per_edit=20.0)
    assert found.clean == ((0,) if patient else ())


def test_it_ends_when_enough_is_found_or_the_time_is_up(box):
    good = [edit("x // 3", f"x // 2 + {n} - {n}") for n in range(20)]
    assert len(tried(box, "test_half", *good, wanted=3).clean) in (3, 4)
    late = screen(box(FILES), PYTEST, ["test_mod.py::test_half"], edits=good, seconds=0.0)
    assert late.trials == {}


def test_edits_that_do_the_same_with_other_inputs_are_told_from_others(box):
    more = ["test_mod.py::test_half_of_nothing"]
    edits = [edit("x // 3", new, "a") for new in ("x // 2", "(x - x % 2) // 2", "x - 4 * (x > 0)")]
    behaviours = tried(box, "test_half", *edits, others={"a": more}).behaviours
    assert behaviours[0] == behaviours[1] != behaviours[2]
    assert len(behaviours[0]) >= LEAST_TOLD


def test_one_clean_edit_is_compared_with_nothing(box):
    assert tried(box, "test_half", edit("x // 3", "x // 2"), edit("x // 3", "x")).behaviours == {}


def test_edits_of_which_too_little_can_be_told_are_compared_with_nothing(box):
    edits = [edit("x // 3", new, "a") for new in ("x // 2", "x // 2 + 0")]
    others = {"a": ["test_mod.py::test_half_of_nothing"]}
    found = tried(box, "test_loops", *edits, others=others)
    assert (found.clean, found.behaviours) == ((0, 1), {})


def test_a_vote_that_hangs_takes_no_edit_away(box):
    files = {**FILES, "test_mod.py": f"{TESTS}\ndef test_hangs():\n    while True: pass\n"}
    probes, voters = ["test_mod.py::test_half"], ["test_mod.py::test_hangs"]
    good = [edit("x // 3", "x // 2")]
    found = screen(box(files), PYTEST, probes, voters=voters, edits=good, seconds=30, per_edit=3)
    assert found.trials[0].clean is True
    assert found.trials[0].passed == {*probes}


def test_tests_that_decide_nothing_are_told_apart(box):
    voters = ["test_mod.py::test_half_of_nothing", "test_mod.py::test_rate", "test_mod.py::none"]
    good, other = edit("x // 3", "x // 2"), edit("x // 3", "4")
    found = tried(box, "test_half", good, other, voters=voters)
    assert found.clean == (0, 1)
    assert found.trials[0].passed == {"test_mod.py::test_half", voters[0]}
    assert found.trials[1].passed == {"test_mod.py::test_half"}


def test_lines_are_traced_by_test(box):
    tests = ["test_mod.py::test_half", "test_mod.py::test_loops"]
    found = screen(box(FILES), PYTEST, tests, lines=["mod.py"], seconds=30)
    numbers = {test: found.lines[test]["mod.py"] for test in tests}
    start = CODE.decode().split("\n").index("def half(x):") + 1
    assert start + 1 in numbers[tests[0]]
    assert start + 1 not in numbers[tests[1]]


@pytest.mark.parametrize("noise", ["print('x' * 50)", "import os; os.write(1, b'{\"t\": 1}\\n')"])
def test_what_code_under_test_writes_does_not_disturb(box, noise):
    files = {**FILES, "test_mod.py": f"{noise}\n{TESTS}"}
    found = screen(
        box(files), PYTEST, ["test_mod.py::test_half"], edits=[edit("x // 3", "x // 2")], seconds=30
    )
    assert found.clean == (0,)


def test_the_whole_of_a_last_line_is_swapped(box):
    found = tried(box, "test_half", edit("x // 3\n", "x // 2\n"))
    assert (found.clean, found.cold) == ((0,), ())


def test_without_a_test_to_turn_green_no_edit_is_tried(box):
    others = {"mod.py::x": ["test_mod.py::test_half_of_nothing"]}
    edits = [edit("x // 3", "x // 2")]
    lost = ["test_gone.py (collection)"]
    found = screen(box(FILES), PYTEST, lost, others=others, edits=edits, seconds=30)
    assert (found.started, dict(found.trials)) == (False, {})


@pytest.mark.parametrize("tests", ["import nothing_of_that_name\n", "raise SystemExit(3)\n"])
def test_tests_that_cannot_be_collected_give_an_empty_screening(box, tests):
    files = {"mod.py": CODE, "test_mod.py": tests}
    found = screen(
        box(files), PYTEST, ["test_mod.py::test_half"], edits=[edit("x // 3", "x // 2")], seconds=30
    )
    assert (found.started, found.clean, dict(found.lines)) == (False, (), {})


def test_records_that_code_under_test_forges_are_no_trials(box):
    forge = (
        "import gc, os, json\n"
        "for thing in gc.get_objects():\n"
        "    if type(thing).__name__.endswith('Screen') or hasattr(thing, 'trying'):\n"
        "        for n in (99, 1e999, -7, 'x'):\n"
        "            thing.emit('tried', n=n, passed=[], clean=True)\n"
        "        thing.emit('lines', test=1, lines=[1])\n"
    )
    files = {**FILES, "test_mod.py": f"{TESTS}\ndef test_forge():\n" + "".join(
        f"    {line}\n" for line in forge.splitlines()
    )}  # fmt: skip
    found = screen(
        box(files),
        PYTEST,
        ["test_mod.py::test_forge"],
        edits=[edit("x // 3", "x // 2")],
        seconds=30,
    )
    assert set(found.trials) <= {0}
