"""Suspects: by the tests that run them, by frames, by words, and by lines."""

from __future__ import annotations

from math import isclose, sqrt

from agent.context.evidence import ochiai
from agent.context.lexical import by_words, words
from agent.context.localise import basis, by_lines, localise
from tools.codemap import Codemap
from tools.testing.results import Failure, Frame, TestRun

SHAPES = b"""\
def area(width, height):
    return width * height


def border(width, height):
    return 2 * (width + height)


def parse_size(text):
    return area(*map(int, text.split("x")))
"""
FILES = {"shapes.py": SHAPES, "test_shapes.py": b"def test_it():\n    area(1, 2)\n"}
MAP = Codemap.build(FILES.items())
AREA, BORDER, PARSE = (f"shapes.py::{name}" for name in ("area", "border", "parse_size"))
LINES = {AREA: 1, BORDER: 5, PARSE: 9}


def run(outcomes, calls=None, failures=None):
    called = {
        test: frozenset(("shapes.py", name.partition("::")[2], LINES[name]) for name in names)
        for test, names in (calls or {}).items()
    }
    return TestRun(outcomes, failures or {}, 1, complete=True, seconds=0.0, calls=called)


def ranked(*arguments, issue="", targets=("t",)):
    return localise(MAP, FILES, *arguments, targets, issue)


def test_what_failing_tests_alone_run_comes_first():
    outcomes = {"t": "failed", "ok": "passed"}
    found = ranked(run(outcomes, {"t": [AREA, BORDER], "ok": [AREA]}))
    assert found == [(BORDER, 1.0), (AREA, round(1 / sqrt(2), 4))]


def test_what_a_failing_test_that_nobody_asked_about_runs_says_nothing():
    found = ranked(run({"t": "failed", "other": "failed"}, {"t": [AREA], "other": [AREA]}))
    assert found == [(AREA, 1.0)]


def test_the_last_frame_of_a_traceback_counts_most():
    frames = (Frame("shapes.py", 10, "parse_size"), Frame("shapes.py", 2, "area"))
    failure = Failure(message="boom", frames=frames)
    found = ranked(run({"t": "failed"}, {"t": [AREA, PARSE]}, {"t": failure}))
    assert found == [(AREA, 1.5), (PARSE, 1.25)]


def test_a_name_in_the_issue_breaks_a_tie():
    outcomes, calls = {"t": "failed"}, {"t": [AREA, BORDER]}
    assert ranked(run(outcomes, calls))[0][0] == AREA
    assert ranked(run(outcomes, calls), issue="border is wrong")[0][0] == BORDER


def test_without_calls_the_words_of_the_issue_decide_and_tests_are_no_suspects():
    found = ranked(run({"t": "failed"}), issue="the size of a text cannot be parsed: parse_size")
    assert found[0][0] == PARSE
    assert not any("test_" in name for name, _ in found)


def test_what_a_ranking_rests_on():
    def on(run, targets=("t",)):
        return basis(MAP, run, targets, [(AREA, 1.0)])

    def failing(path):
        return {"t": Failure(message="boom", frames=(Frame(path, 2, "area"),))}

    assert on(run({"t": "failed"}, {"t": [AREA]}, failing("shapes.py"))) == "tests"
    assert on(run({"t": "failed"}, {"t": [BORDER]}, failing("shapes.py"))) == "frames"
    assert on(run({"t": "failed"}, {"t": [BORDER]}, failing("test_shapes.py"))) == "words"
    assert on(run({"t": "failed"}, {"t": [AREA]}), ()) == "words"


def test_identifiers_are_taken_apart():
    assert words("parseHTTPHeader x_y") == [
        "parsehttpheader", "parse", "http", "header", "x_y", "x", "y",
    ]  # fmt: skip


def test_what_a_named_function_calls_is_suspected_as_well():
    symbols = [MAP.symbols[name] for name in (AREA, BORDER, PARSE)]
    found = by_words(MAP, FILES, symbols, "parse_size fails")
    assert found[PARSE] > found[AREA] > found[BORDER] == 0


def test_a_suspicious_line_lifts_its_function():
    before = [(AREA, 0.7), (BORDER, 0.7), (PARSE, 0.7)]
    found = by_lines(MAP, before, {("shapes.py", 6): 0.5, ("shapes.py", 10): 0.25})
    assert found == [(BORDER, 1.7), (PARSE, 1.2), (AREA, 0.7)]


def test_ochiai():
    assert ochiai(0, 3, 2) == 0
    assert ochiai(2, 0, 2) == 1
    assert isclose(ochiai(1, 3, 2), 1 / sqrt(2 * 4))
