import bisect
import inspect
import json
import os
import queue
import subprocess
import sys
import textwrap
from itertools import pairwise
from types import CodeType

import pytest

from agent.tasks import mutate
from agent.tasks.mutate import FAMILIES, Edit, Mutation, combine, mutations
from tools.fingerprint import fingerprint


def mutants(source, family):
    data = source.encode()
    return [
        mutation.apply(data).decode()
        for mutation in mutations("m.py", data)
        if mutation.family == family
    ]


def in_function(body):
    return "def f(a, b, *, key=None):\n" + textwrap.indent(body, "    ")


# Family, body of a function `f(a, b, *, key=None)`, bodies that must be among its mutants.
IN_FUNCTIONS = [
    ("condition-inverted", "if a:\n    b()\n", ["if not a:\n    b()\n"]),
    ("condition-inverted", "if not a:\n    b()\n", ["if a:\n    b()\n"]),
    ("condition-inverted", "if a < b:\n    b()\n", ["if a >= b:\n    b()\n"]),
    ("condition-inverted", "if(a or b):\n    b()\n", ["if not (a or b):\n    b()\n"]),
    ("condition-inverted", "if a == 1 == b:\n    b()\n", ["if not (a == 1 == b):\n    b()\n"]),
    ("condition-inverted", "while a in b:\n    b()\n", ["while a not in b:\n    b()\n"]),
    ("condition-inverted", "return a if b.c else 7\n", ["return a if not b.c else 7\n"]),
    ("condition-inverted", "return [x for x in a if b]\n", ["return [x for x in a if not b]\n"]),
    (
        "condition-inverted",
        "if a:\n    # c\n    a()\nelse:\n    b()\n",
        ["if a:\n    # c\n    b()\nelse:\n    a()\n"],
    ),
    ("condition-removed", "if a:\n    b()\n    a()\n", ["b()\na()\n"]),
    ("condition-removed", "if a: b()\na()\n", ["b()\na()\n"]),
    ("condition-removed", "if a:\n    b('''\n    x''')\n", ["b('''\n    x''')\n"]),
    ("condition-removed", "return a and b()\n", ["return a\n", "return b()\n"]),
    (
        "condition-removed",
        "if a:\n    a()\nelif b:\n    b()\nelse:\n    f()\n",
        [
            "if a:\n    a()\nelse:\n    f()\n",
            "if a:\n    a()\nelif b:\n    b()\n",
        ],
    ),
    ("operator", "return a < b\n", ["return a <= b\n", "return a >= b\n"]),
    ("operator", "return a + b * 3\n", ["return a - b * 3\n", "return a + b + 3\n"]),
    ("operator", "return a and b\n", ["return a or b\n"]),
    ("operator", "return a | b\n", ["return a & b\n"]),
    ("operator", "return a in b\n", ["return a not in b\n"]),
    ("operator", "return a is not None\n", ["return a is None\n"]),
    ("operator", "a += b\nreturn a\n", ["a -= b\nreturn a\n", "a = b\nreturn a\n"]),
    ("operator", "return -a\n", ["return a\n"]),
    ("operator", "return not(a)\n", ["return (a)\n"]),
    ("constant", "return 3\n", ["return 0\n", "return 1\n", "return -1\n", "return 6\n"]),
    ("constant", "return -4\n", ["return 0\n", "return -1\n", "return -8\n"]),
    ("constant", "return 2.5\n", ["return 0.0\n", "return 5.0\n"]),
    ("constant", "return True\n", ["return False\n"]),
    ("constant", "return a.split(b',')\n", ["return a.split(b';')\n", "return a.split(b'')\n"]),
    ("constant", "return r'ab'\n", ["return r''\n"]),
    ("off-by-one", "return a[1:b]\n", ["return a[2:b]\n", "return a[1:b + 1]\n"]),
    ("off-by-one", "return a[-2]\n", ["return a[-1]\n", "return a[-3]\n"]),
    ("off-by-one", "return range(b)\n", ["return range(b + 1)\n", "return range(b - 1)\n"]),
    ("off-by-one", "return range(a or b)\n", ["return range((a or b) - 1)\n"]),
    ("off-by-one", "return a[b + 1]\n", ["return a[b + 2]\n"]),
    ("off-by-one", "return len(a) > 5\n", ["return len(a) > 6\n", "return len(a) > 4\n"]),
    ("arguments-swapped", "return f(a, b.c)\n", ["return f(b.c, a)\n"]),
    ("arguments-swapped", "return f(a, b, key=1)\n", ["return f(a, b)\n"]),
    ("arguments-swapped", "return f(key=1,)\n", ["return f()\n"]),
    ("arguments-swapped", "return f(x=1, y=2)\n", ["return f(y=2)\n", "return f(x=1)\n"]),
    ("operands-swapped", "return a - b\n", ["return b - a\n"]),
    ("operands-swapped", "return a - key - b\n", ["return b - (a - key)\n"]),
    ("operands-swapped", "return a ** -b\n", ["return (-b) ** a\n"]),
    ("operands-swapped", "return 'x' + a\n", ["return a + 'x'\n"]),
    ("operands-swapped", "return a <= b\n", ["return b <= a\n"]),
    ("statement-removed", "a()\nreturn b\n", ["return b\n"]),
    ("statement-removed", "if a:\n    raise b\n", ["if a:\n    pass\n"]),
    ("statement-removed", "a(); b()\n", ["b()\n", "a()\n"]),
    ("statement-removed", "a()  # why\nreturn b\n", ["# why\nreturn b\n"]),
    ("statement-removed", "for x in a:\n    continue\n    b()\n", ["for x in a:\n    b()\n"]),
    ("statements-reordered", "x = a\na = b\nreturn x, a\n", ["a = b\nx = a\nreturn x, a\n"]),
    ("wrong-variable", "return a.x\n", ["return b.x\n"]),
    ("wrong-variable", "x = a\nreturn b(x)\n", ["x = b\nreturn b(x)\n", "x = a\nreturn b(key)\n"]),
    ("wrong-attribute", "return a.lower()\n", ["return a.upper()\n"]),
    ("wrong-attribute", "a.x = b.y\nreturn a.z\n", ["a.x = b.y\nreturn a.x\n"]),
    ("loop-removed", "for x in a:\n    b(x)\n", ["pass\n", "for x in a:\n    b(x)\n    break\n"]),
    ("loop-removed", "while a:\n    a = b(a)\n", ["if a:\n    a = b(a)\n"]),
    (
        "loop-removed",
        "while a:\n    if b: break\n    b()\n",
        ["while a:\n    if b: break\n    b()\n    break\n"],
    ),
    ("return-removed", "x = b(a)\nreturn x + 1\n", ["x = b(a)\n", "x = b(a)\nreturn x\n"]),
    ("return-removed", "if a: return a\nreturn b\n", ["if a: pass\nreturn b\n"]),
    ("return-removed", "if a:\n    return a\nreturn b\n", ["if a:\n    pass\nreturn b\n"]),
]

CLASS = """\
class A(B, C):
    size = 1

    @property
    def one(self):
        return self.two()

    # about two
    def two(self):
        return self.size
"""
IN_MODULES = [
    ("class-edit", CLASS, [CLASS.replace("B, C", "C"), CLASS.replace("B, C", "B")]),
    ("class-edit", CLASS, [CLASS.replace("    @property\n", "")]),
    ("class-edit", CLASS, [CLASS.replace("    def two(self):\n        return self.size\n", "")]),
    ("class-edit", "class A(B):\n    x = 1\n", ["class A:\n    x = 1\n"]),
    ("class-edit", "class A:\n    def f(self): return 1\n", ["class A:\n    pass\n"]),
    ("statement-removed", CLASS, [CLASS.replace("    size = 1\n", "")]),
    (
        "wrong-attribute",
        "class A:\n    def f(self): return self.g()\n    def g(self): return 1\n",
        ["class A:\n    def f(self): return self.f()\n    def g(self): return 1\n"],
    ),
]


@pytest.mark.parametrize(("family", "body", "expected"), IN_FUNCTIONS)
def test_a_family_changes_a_function(family, body, expected):
    found = mutants(in_function(body), family)
    for text in expected:
        assert in_function(text) in found


@pytest.mark.parametrize(("family", "source", "expected"), IN_MODULES)
def test_a_family_changes_a_class(family, source, expected):
    found = mutants(source, family)
    for text in expected:
        assert text in found


def test_every_family_is_tested():
    assert {family for family, *_ in (*IN_FUNCTIONS, *IN_MODULES)} == set(FAMILIES)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("a.x = b\na.y = b\n", 0),
        ("a.x = b\na.y = a.x\n", 1),
        ("a[0] = b\nb.y = a\n", 1),
        ("a.append(b)\nkey = a\n", 1),
        ("a.append(1)\nb.append(2)\n", 0),
        ("x = a\ny = b\n", 0),
    ],
)
def test_only_statements_that_may_depend_on_each_other_are_reordered(body, count):
    assert len(mutants(in_function(body), "statements-reordered")) == count


@pytest.mark.parametrize(
    "source",
    [
        '"""Short."""\n',
        "def f():\n    'doc'\n",
        "from a import b\n",
        "__all__ = ['a', 'b']\n",
        "__version__ = '1.0'\n",
        "class A:\n    __slots__ = ('a', 'b')\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    x = 1\n",
        "if __name__ == '__main__':\n    print(1, 2)\n",
        "def f(x: 'int' = ...) -> 'str': ...\n",
        "x: 'int'\n",
        "import logging\nlogger = logging\ndef f():\n    logger.info('a %s', 1)\n",
        "T = TypeVar('T', bound='X')\n",
        "@overload\ndef f(x): return 1\n",
        "def f():\n    raise NotImplementedError('later')\n",
    ],
)
def test_some_code_is_never_touched(source):
    assert mutations("m.py", source.encode()) == []


def test_the_text_of_an_error_is_kept():
    source = "def f(a, b):\n    raise KeyError('no %s' % a, f'{a} of {b}', 'x {}'.format(b))\n"
    changed = {m.apply(source.encode()).decode() for m in mutations("m.py", source.encode())}
    assert in_function("").replace(", *, key=None", "") + "    pass\n" in changed
    for text in changed:
        assert "raise" not in text or all(
            part in text for part in ("'no %s' % a", "f'{a} of {b}'", "'x {}'.format(b)")
        )


@pytest.mark.parametrize(
    "data",
    [b"def f(:\n", b"x = '\xff'\n", "# coding: latin-1\nx = 'é'\n".encode("latin-1"), b"x = 1\0\n"],
)
def test_what_does_not_parse_or_is_not_utf_8_has_none(data):
    assert mutations("m.py", data) == []


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_edits_count_bytes(mark):
    data = mark + "name = 'größe €'\ndef ä(x):\n    return 'é', x + 1\n".encode()
    found = {m.apply(data) for m in mutations("m.py", data) if m.family == "operator"}
    assert found == {data.replace(b"x + 1", b"x - 1")}


def test_windows_line_ends_stay():
    data = b"def f(a):\r\n    for x in a:\r\n        if x:\r\n            a(x)\r\n    return 1\r\n"
    found = mutations("m.py", data)
    for mutation in found:
        text = mutation.apply(data)
        assert text.count(b"\n") == text.count(b"\r\n") > 0
    texts = {m.apply(data) for m in found}
    assert data.replace(b"a(x)\r\n", b"a(x)\r\n        break\r\n") in texts
    assert data.replace(b"        if x:\r\n            a(x)", b"        a(x)") in texts


DECORATED = """\
import functools

LIMIT = 3

def plain(x=10):
    return x + 1

def outer(f):
    @functools.wraps(
        f
    )
    # why
    @functools.cache
    def inner(x):

        # first
        return f(x) - 1
    return inner

class A:
    size = 4

    @property
    def area(self):
        return self.size * 2

    class B:
        async def go(self):
            return [x for x in self.all if x > 5]
"""


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def test_a_mutation_names_its_function_as_python_does():
    lines = {
        code.co_qualname: code.co_firstlineno
        for code in codes(compile(DECORATED, "m.py", "exec", dont_inherit=True))
    }
    found = mutations("m.py", DECORATED.encode())
    inside = [m for m in found if m.def_line]
    assert {m.symbol for m in inside} == {
        "plain",
        "outer",
        "outer.<locals>.inner",
        "A.area",
        "A.B.go",
    }
    assert all(m.def_line == lines[m.symbol] for m in inside)
    outside = {(m.symbol, m.line) for m in found if not m.def_line}
    assert {("", 3), ("plain", 5), ("A", 21), ("A.area", 23)} <= outside
    first = DECORATED.encode().index(b"- 1")
    assert [m.line for m in found if m.edits[0].start == first] == [17]


def test_two_mutations_combine():
    data = b"def f(a, b):\n    if a < b:\n        return a + b\n"
    first, second = (
        next(m for m in mutations("m.py", data) if m.edits[0].text == text) for text in ("<=", "-")
    )
    both = combine(second, first)
    assert both is not None
    assert both == combine(first, second)
    assert both.apply(data) == data.replace(b"<", b"<=").replace(b"+", b"-")
    assert (both.family, both.symbol, both.line) == ("operator + operator", "f", 2)
    assert both.id not in (first.id, second.id)
    swapped = next(m for m in mutations("m.py", data) if m.family == "operands-swapped")
    three = combine(swapped, second)
    assert three is not None
    assert three.family == "operands-swapped + operator"


def test_mutations_that_overlap_or_are_of_two_files_do_not_combine():
    one = Mutation("a.py", "", 1, 0, "operator", (Edit(3, 5, "x"),))
    assert combine(one, one) is None
    assert combine(one, Mutation("a.py", "", 1, 0, "constant", (Edit(4, 9, "y"),))) is None
    assert combine(one, Mutation("a.py", "", 1, 0, "constant", (Edit(5, 5, "y"),))) is None
    assert combine(one, Mutation("b.py", "", 1, 0, "constant", (Edit(8, 9, "y"),))) is None


def test_an_id_depends_on_path_and_edits():
    edits = (Edit(1, 2, "x"),)
    one = Mutation("a.py", "f", 1, 1, "operator", edits)
    assert len(one.id) == 12
    assert int(one.id, 16) >= 0
    assert one.id == Mutation("a.py", "", 9, 0, "constant", edits).id
    assert one.id != Mutation("b.py", "f", 1, 1, "operator", edits).id
    assert one.id != Mutation("a.py", "f", 1, 1, "operator", (Edit(1, 3, "x"),)).id


EQUAL = [
    ("x = 1\n", "# c\n\nx = (1)\n"),
    ("x = 2\n", "x = 1 + 1\n"),
    ("def f():\n    return 1\n", 'def f():\n    """Doc."""\n    # c\n    return (\n        1)\n'),
    ("class A:\n    'a'\n    def f(self): 'b'\n", "class A:\n    def f(self): pass\n"),
    ("'a'\nx = 1\n", "x = 1\n"),
    ("def f(a):\n    if a: return 1\n    return None\n", "def f(a):\n    if a: return 1\n"),
    ("def f(a):\n    pass\n    return a\n", "def f(a):\n    return a\n"),
    ("def f(x): return not x in {1, 2}\n", "def f(x): return x not in {2, 1}\n"),
]
DIFFERENT = [
    ("x = 1\n", "x = True\n"),
    ("x = 1\n", "x = 1.0\n"),
    ("x = 0.0\n", "x = -0.0\n"),
    ("x = (1, 2)\n", "x = (2, 1)\n"),
    ("x = (1, 'a')\n", "x = (True, 'a')\n"),
    ("x = 1\n", "y = 1\n"),
    ("def f(x): return x in {1, 2}\n", "def f(x): return x in {True, 2}\n"),
    ("def f(a, b): return a\n", "def f(b, a): return a\n"),
    ("def f(a): return 1\n", "def f(*, a): return 1\n"),
    ("def f(a): return a.b\n", "def f(a): return a.c\n"),
    ("def f(): return lambda: 1\n", "def f(): return lambda: 2\n"),
    ("def f(): return 1\n", "async def f(): return 1\n"),
    (
        "def f():\n    try: a()\n    except E: b()\n    c()\n",
        "def f():\n    try:\n        a()\n        c()\n    except E: b()\n",
    ),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_one_program_has_one_fingerprint(one, two):
    assert fingerprint(one.encode()) == fingerprint(two.encode()) is not None


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_two_programs_have_two_fingerprints(one, two):
    assert fingerprint(one.encode()) != fingerprint(two.encode())


@pytest.mark.parametrize("data", [b"def f(:\n", b"return\n", b"x = '\xff'\n", b"x\0\n"])
def test_what_does_not_compile_has_no_fingerprint(data):
    assert fingerprint(data) is None


def test_mutants_that_are_the_same_program_are_listed_once():
    data = b"def f(a, b):\n    if not a in b:\n        return 1\n    return 0\n"
    prints = [fingerprint(m.apply(data)) for m in mutations("m.py", data)]
    assert len(prints) == len({*prints, fingerprint(data)}) - 1


def test_a_mutant_with_a_syntax_warning_is_dropped():
    data = b"def f(a):\n    return (a)(1)\n"
    assert not any(b"1(a)" in m.apply(data) for m in mutations("m.py", data))


def test_a_warning_of_the_original_is_no_obstacle():
    data = b"def f(a):\n    return a is 1, '\\d', a + 1\n"
    assert data.replace(b"+", b"-") in [m.apply(data) for m in mutations("m.py", data)]


def test_private_names_and_future_flags_count():
    data = (
        b"from __future__ import annotations\nclass A:\n    x: int = 1\n\n"
        b"    class B:\n        def f(self) -> nowhere: return self.__x + super().y\n"
    )
    found = mutations("m.py", data)
    assert data.replace(b"+", b"-") in [m.apply(data) for m in found]
    assert "A.B.f" in {m.symbol for m in found}


def as_json(found):
    return json.dumps([[m.id, m.line, m.family] for m in found])


def test_the_order_is_that_of_the_file_and_always_the_same():
    source = inspect.getsource(queue).encode()
    found = mutations("m.py", source)
    assert [m.edits[0].start for m in found] == sorted(m.edits[0].start for m in found)
    code = (
        "import inspect, json, queue\nfrom agent.tasks.mutate import mutations\n"
        "found = mutations('m.py', inspect.getsource(queue).encode())\n"
        "print(json.dumps([[m.id, m.line, m.family] for m in found]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == as_json(found)


@pytest.mark.parametrize(("module", "least"), [(queue, 300), (bisect, 200)])
def test_the_mutants_of_a_real_module_are_different_programs(module, least):
    source = inspect.getsource(module).encode()
    found = mutations("module.py", source)
    assert len(found) > least
    prints = [fingerprint(mutation.apply(source)) for mutation in found]
    assert None not in prints
    assert len(set(prints) - {fingerprint(source)}) == len(found)
    assert len({mutation.id for mutation in found}) == len(found)
    for mutation in found:
        assert mutation.path == "module.py"
        assert mutation.family in FAMILIES
        assert all(a.end <= b.start for a, b in pairwise(mutation.edits))


def test_the_package_exports_its_contract_and_loads_libcst_late():
    assert set(mutate.__all__) == {
        "FAMILIES",
        "Edit",
        "Mutation",
        "combine",
        "mutations",
    }
    code = "import sys, agent.tasks.mutate; print('libcst' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_source_nested_too_deeply_has_none():
    assert mutations("m.py", b"x = " + b"-" * 1000 + b"1\n") == []
