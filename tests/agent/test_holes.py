"""Which lines and gaps of a definition can be written anew, and what may stand there."""

from __future__ import annotations

import pytest

from agent.holes import admits, grammar, holes, question
from tests.agent.library import LIBRARY
from tools.codemap import MODULE, parse
from tools.repairs.edit import Edit


def test_holes_are_lines_and_gaps_but_no_prose():
    source = LIBRARY.encode()
    symbol = next(s for s in parse("lib.py", source) if s.qualname == "clamp" != MODULE)
    found = list(holes(symbol, symbol.text(source)))
    gap = next(hole for hole in found if hole.gap and hole.original == "if value < high:")
    assert (gap.above, gap.deeper, gap.step) == ("return low", 1, "    ")
    lines = {hole.original for hole in found if not hole.gap}
    assert lines == {"if value < low:", "return low", "if value < high:", "return high",
                     "return value"}  # fmt: skip
    assert {hole.number for hole in found if hole.gap} == {2, 3, 4, 5, 6}
    for hole in found:
        edited = hole.edit(source, "X").applied(source).decode()
        before, after = LIBRARY.split("\n"), edited.split("\n")
        assert len(after) - len(before) == hole.gap
        assert after[hole.number] == hole.margin + "X"


def test_a_line_to_be_written_anew_is_another_one():
    source = LIBRARY.encode()
    symbol = next(s for s in parse("lib.py", source) if s.qualname == "clamp")
    hole = next(
        h for h in holes(symbol, symbol.text(source)) if h.original == "return low" and not h.gap
    )
    rules = grammar(hole).split("\n")
    assert rules[0] == 'root ::= "```python\\nreturn " other0 "\\n```"'
    assert rules[1] == r'other0 ::= [^\r\n\t` #l] more | "l" other1'
    assert rules[3] == r'other2 ::= ([^\r\n\t` w] more | " " code | "w" other3)?'
    assert rules[4] == r'other3 ::= [^\r\n\t` ] more | " " code'


def lines_of(text, path="m.py"):
    symbol = parse(path, text.encode())[1]
    return list(holes(symbol, text.rstrip("\n")))


def test_a_comment_stays_behind_its_line():
    found = lines_of("def f(a):\n    x = '#' + a  # noqa: X, '('\n    return x\n")
    hole = next(hole for hole in found if hole.number == 1 and not hole.gap)
    assert hole.end == "  # noqa: X, '('"
    assert admits(hole, "x = a + '#'  # noqa: X, '('")
    assert not admits(hole, "x = '#' + a  # other")
    assert not admits(hole, "x = '#' + a\r  # noqa: X, '('")
    assert lines_of("def f(a):\n    return 'n #%s' % a\n")[-1].end == ""


def test_a_semicolon_stays_as_well():
    hole = next(h for h in lines_of("function f(a) {\n  return a;\n}\n", "m.js") if not h.gap)
    assert (hole.start, hole.end, admits(hole, "return a")) == ("return ", ";", False)


def test_blocks_are_indented_as_in_the_definition():
    found = lines_of("def f(a):\n    x = g(a,\n          b)\n    for y in x:\n        a += y\n")
    assert {hole.step for hole in found if hole.gap} == {"    "}
    found = lines_of("def f(a):\n\tif a:\n\t\ta = 1\n\treturn a\n")
    assert [(h.step, h.deeper) for h in found if h.gap] == [("\t", 0), ("\t", 0), ("\t", 1)]


def test_names_that_begin_like_a_keyword_are_lines():
    text = (
        "def f(a):\n    default = a\n    try:\n        trying = a\n    finally:\n        return a\n"
    )
    lines = {hole.original for hole in lines_of(text) if not hole.gap}
    assert lines == {"default = a", "trying = a", "return a"}


def test_a_line_that_a_backslash_continues_is_one():
    text = "def f(a, b):\n    if a and \\\n            b:\n        func = a\n    return b\n"
    found = lines_of(text)
    assert [(h.original, h.deeper, h.step) for h in found if h.gap] == [
        ("if a and \\", 0, "    "), ("func = a", 0, "    "), ("return b", 1, "    "),
    ]  # fmt: skip
    assert "func = a" in {hole.original for hole in found if not hole.gap}


def test_a_gap_in_braces():
    found = lines_of("function f(a) {\n  const b = a;\n  return b;\n}\n", "m.js")
    gap = next(hole for hole in found if hole.gap and hole.original == "return b;")
    assert (gap.margin, gap.step, gap.above) == ("  ", "  ", "const b = a;")


def test_line_endings_stay_as_they_are():
    source = b"def f(a):\r\n    return a\r\n"
    symbol = next(s for s in parse("m.py", source) if s.qualname == "f")
    hole = next(h for h in holes(symbol, symbol.text(source)) if not h.gap)
    assert hole.edit(source, "return 1").applied(source) == b"def f(a):\r\n    return 1\r\n"
    added = Edit("m.py", 11, 11, "    a = 1\n")
    assert added.applied(source).startswith(b"def f(a):\r\n    a = 1\r\n")


def test_the_end_of_a_definition_is_a_place_where_it_is_reached():
    text = "@cached\ndef f(a):\n    for b in a:\n        if b:\n            a += b\n"
    end = lines_of(text)[-1]
    assert (end.number, end.margin, end.deeper, end.original) == (5, "    ", 2, "")
    assert (end.place, end.judged_by) == (("m.py::f", 5, True), ("m.py", 3))
    assert "at the end of m.py::f after the line\n```\na += b\n```\nWrite" in question(end)
    written = "        a = 0\nreturn a"
    assert admits(end, written)
    for source, between in ((text, ""), (text.rstrip("\n"), "\n"), (f"{text}\n\nX = 1\n", "")):
        edited = end.edit(source.encode(), written).applied(source.encode()).decode()
        added = f"{between}            a = 0\n    return a" + "\n" * (not between)
        assert edited == source[: len(text)] + added + source[len(text) :]
    for leaves in (
        "return a",
        "raise Bad(\n        a)",
        "return {\n        1: a,\n    }\n    # so",
    ):
        assert not ends_of(f"{text}    {leaves}\n")
    assert not lines_of("def f(a): return a\n")
    assert not ends_of('@at("(")\ndef f(a):\n    a.go()\n')


def ends_of(text, path="m.py"):
    return [hole for hole in lines_of(text, path) if hole.gap and not hole.original]


def test_what_is_written_at_the_end_follows_the_last_line():
    (end,) = ends_of("def f(a):\n    if a:\n        b = g(\n            a,\n        )\n")
    assert (end.above, end.number, end.beside, end.deeper) == (")", 5, 1, 1)
    (end,) = ends_of('@cached\ndef f(a):\n    """Doc.\n\n    More.\n    """\n')
    assert (end.above, end.number, end.margin) == ('"""', 6, "    ")


def test_the_end_of_a_block_in_braces_is_before_its_brace():
    text = "function f(a) {\n  if (a) {\n    a = 1;\n  }\n}\n"
    end = lines_of(text, "m.js")[-1]
    assert (end.number, end.beside, end.margin, end.deeper) == (4, 1, "  ", 0)
    edited = end.edit(text.encode(), "return a;").applied(text.encode()).decode()
    assert edited == "function f(a) {\n  if (a) {\n    a = 1;\n  }\n  return a;\n}\n"


@pytest.mark.parametrize(
    ("text", "path", "count"),
    [
        ("function f(a) {\n  return {\n    b: a,\n  };\n}\n", "m.js", 0),
        ("function f(a) {\n  a.go();\n  return; }\n", "m.js", 0),
        ("fn f(a: i32) -> i32 {\n    let b = a;\n    b + 1\n}\n", "m.rs", 0),
        ("#[inline]\nfn f<T>(a: T)\nwhere\n    T: X,\n{\n    return g(a);\n}\n", "m.rs", 0),
        ('fn f() {\n    panic!("no");\n}\n', "m.rs", 0),
        ("fn f(a: &mut i32) {\n    *a += 1;\n}\n", "m.rs", 1),
        ("package m\n\nfunc f(a int) int {\n\tif a > 0 {\n\t\treturn a\n\t}\n}\n", "m.go", 1),
    ],
)
def test_in_braces_the_end_is_a_place_where_something_can_follow(text, path, count):
    assert len(ends_of(text, path)) == count
