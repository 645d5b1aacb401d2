"""Small edits: one bug of each kind has its fix among them."""

from __future__ import annotations

import ast

import pytest

from tools.codemap import MODULE, parse
from tools.repairs.generate import RULES, edits

PAIRS = {
    "operators": ("return a < b", "return a <= b"),
    "negations": ("if not a:\n        return 1", "if a:\n        return 1"),
    "negations, turned": ("while a:\n        b()", "while not (a):\n        b()"),
    "literals": ("return a[0]", "return a[1]"),
    "literals, text": ('return "_".join(a)', 'return "-".join(a)'),
    "literals, constant": ("return f(a, x=True)", "return f(a, x=False)"),
    "swaps": ("return f(b, a)", "return f(a, b)"),
    "swaps, operands": ("return b - a", "return a - b"),
    "swaps, branches": ("return a if b else 1", "return 1 if b else a"),
    "variables": ("return a + a", "return a + b"),
    "attributes": ("return a.lower()", "return a.upper()"),
    "functions": ("return min(a, b)", "return max(a, b)"),
    "errors": (
        "try:\n        f()\n    except KeyError:\n        raise ValueError",
        "try:\n        f()\n    except ValueError:\n        raise ValueError",
    ),
    "reductions": ("return a and b", "return a"),
    "bounds": ("return range(a)", "return range(a + 1)"),
    "bounds, factor": ("return a * b", "return (a - 1) * b"),
    "bounds, slice": ("return a[1:]", "return a[:]"),
    "removals": ("a = 1\n    b = 2\n    return b", "b = 2\n    return b"),
    "jumps": (
        "for x in a:\n        if x:\n            break\n    return a",
        "for x in a:\n        if x:\n            continue\n    return a",
    ),
    "jumps, value": ("c = a + b\n    return", "c = a + b\n    return c"),
    "moves": ("b = a\n    a = 1\n    return b", "a = 1\n    b = a\n    return b"),
    "assigned": ("a = b\n    return a", "a += b\n    return a"),
    "arguments": ("return f(a)", "return f(a, b)"),
    "wrapped": (
        "b = 1\n    return b",
        "if a is None:\n        b = 1\n    return b",
    ),
    "additions": (
        "for x in a:\n        b(x)\n    return a",
        "for x in a:\n        continue\n        b(x)\n    return a",
    ),
    "wraps": ("return a", "return str(a)"),
    "guards": ("if a:\n        return 1", "if a and b:\n        return 1"),
    "tests": (
        "c = a.x\n    return c",
        "if a is None:\n        return None\n    c = a.x\n    return c",
    ),
}


def program(body: str) -> str:
    return f"def f(a, b):\n    {body}\n"


def made(source: str, path: str = "m.py") -> list[tuple[str, str]]:
    data = source.encode()
    symbol = next(s for s in parse(path, data) if s.qualname != MODULE)
    return [(edit.rule, edit.applied(data).decode()) for edit in edits(symbol, data)]


@pytest.mark.parametrize("kind", PAIRS)
def test_the_fix_of_a_bug_is_among_the_edits(kind):
    bad, good = PAIRS[kind]
    rules = [rule for rule, text in made(program(bad)) if text == program(good)]
    assert kind.split(",")[0] in rules


def test_each_rule_has_a_bug_that_it_mends():
    assert {rule.__name__ for rule, _ in RULES} <= {kind.split(",")[0] for kind in PAIRS} | {
        "additions"
    }


def test_likely_edits_come_first_and_none_comes_twice_or_changes_nothing():
    source = program('"""Doc 1."""\n    if a < 1 and b:\n        return a[0]\n    return b')
    data = source.encode()
    symbol = next(s for s in parse("m.py", data) if s.qualname == "f")
    found = edits(symbol, data)
    weights = [edit.weight for edit in found]
    assert weights == sorted(weights, reverse=True)
    assert len({(e.start, e.end, e.text) for e in found}) == len(found)
    assert all(edit.applied(data) != data for edit in found)
    assert all("Doc 1." in edit.applied(data).decode() for edit in found)


def test_edits_know_the_lines_of_their_statement():
    source = program("if a < b:\n        return a\n    return b")
    found = edits(
        next(s for s in parse("m.py", source.encode()) if s.qualname == "f"), source.encode()
    )
    by_text = {e.applied(source.encode()).decode(): (e.first, e.last) for e in found}
    assert by_text[source.replace("a < b", "a <= b")] == (2, 2)
    assert by_text[source.replace("return b", "return a")] == (4, 4)


def test_most_edits_are_programs():
    source = program(
        "for x in a:\n        if x and b:\n            a.append(x)\n    return [x for x in a if x]"
    )

    def parses(text: str) -> bool:
        try:
            ast.parse(text)
        except SyntaxError:
            return False
        return True

    texts = [text for _, text in made(source)]
    assert sum(map(parses, texts)) > 0.9 * len(texts)


@pytest.mark.parametrize(
    ("path", "bad", "good"),
    [
        (
            "m.js",
            "function f(a, b) {\n  if (a < b) {\n    return a;\n  }\n  return b;\n}\n",
            "function f(a, b) {\n  if (a <= b) {\n    return a;\n  }\n  return b;\n}\n",
        ),
        (
            "m.js",
            "function f(a, b) {\n  return a === b && g(b, a);\n}\n",
            "function f(a, b) {\n  return a === b && g(a, b);\n}\n",
        ),
        (
            "m.ts",
            "function f(a: number): number {\n  return a + 1;\n}\n",
            "function f(a: number): number {\n  return a + 2;\n}\n",
        ),
        (
            "m.go",
            "func f(a int, b int) bool {\n\treturn a < b\n}\n",
            "func f(a int, b int) bool {\n\treturn a > b\n}\n",
        ),
        (
            "m.rs",
            "fn f(a: i32, b: i32) -> i32 {\n    if a < b { a } else { b }\n}\n",
            "fn f(a: i32, b: i32) -> i32 {\n    if a > b { a } else { b }\n}\n",
        ),
    ],
)
def test_other_languages_by_the_same_rules(path, bad, good):
    assert good in [text for _, text in made(bad, path)]


def test_what_has_no_vocabulary_or_is_huge_has_no_edits():
    data = ("def f(a):\n" + "    a += 1\n" * 4000).encode()
    symbol = next(s for s in parse("m.py", data) if s.qualname == "f")
    assert edits(symbol, data) == []


def test_the_first_method_of_a_class_is_edited_alone():
    one = b"    def one(self, a):\n        return a + 1\n"
    source = b"class A:\n" + one + b"\n    def two(self, b):\n        return b - 2\n"
    for symbol in (s for s in parse("m.py", source) if s.is_code):
        found = edits(symbol, source)
        assert found
        assert all(symbol.start_byte <= e.start <= e.end <= symbol.end_byte for e in found)
