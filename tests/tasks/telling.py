"""Failing tests of a small library, and what is to be said of each."""

from __future__ import annotations

from tests.tasks.told_library import LIBRARY, TESTS

__all__ = ["CASES", "LIBRARY", "SAID", "SOURCES"]

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
case("differs", "assert check(4) != 4", "`check(4)` equals `4`, but should differ from it.")
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
case("fails", 'pytest.fail("the table is empty")', "")
case(
    "loop_unknown",
    'for text in ("a", "b"):\n    parse(text + "c")',
    "For one `text` of `('a', 'b')`, `parse(text + 'c')` raises `KeyError: 'ac'`.",
)
case(
    "loop_unreadable",
    "for text in words('x y'):\n    parse(text)",
    "For one `text` of `words('x y')`, `parse(text)` raises `KeyError: 'x'`.",
)
case("too_long", "x = []\n" + "x.append(1)\n" * 13 + "assert apply(x.count) == 3", "")
case(
    "defined_twice",
    "def one(n):\n    return n\nfound = apply(one)\ndef one(n):\n    return 2\n"
    "assert found == one(1)",
    "",
)
case(
    "late_definition",
    "def one(n):\n    return two(n)\ndef two(n):\n    return n\nassert apply(one) == 2",
    "After\n\n```python\ndef one(n):\n    return two(n)\ndef two(n):\n    return n\n```\n\n"
    "`apply(one)` returns `1`, but `2` is expected.",
)
case(
    "loop_of_indices",
    "for data in ROWS:\n    assert words(data[0]) == data[1]",
    "`words('b c')` returns `['b', 'c']`, but `['b']` is expected.",
)
case(
    "loop_of_items",
    "for key, number in {'a': 1, 'b': 3}.items():\n    assert parse('a') == number, key",
    "`parse('a')` returns `1`, but `3` is expected.",
)
case(
    "caught",
    "try:\n    parse('x')\nexcept KeyError as error:\n    assert str(error) == 'y'",
    "After\n\n```python\ntry:\n    parse('x')\nexcept KeyError as error:\n    pass\n```\n\n"
    "`str(error)` is `\"'x'\"`, but `'y'` is expected.",
)
case(
    "raised_as",
    "with pytest.raises(KeyError) as error:\n    parse('x')\nassert error.value.args == ('y',)",
    "After\n\n```python\nwith pytest.raises(KeyError) as error:\n    parse('x')\n```\n\n"
    "`error.value.args` is `('x',)`, but `('y',)` is expected.",
)
case(
    "match",
    "with pytest.raises(KeyError, match='y+'):\n    parse('x')",
    "`parse('x')` raises `KeyError`: `'x'`, but a message that matches `y+` is expected.",
)
case(
    "chained",
    "wrap('x')",
    "`wrap('x')` raises `ValueError: not known: x`.",
)
case("asserts_nothing", "insist(4)", "")
case("output", "print(check(1))\nassert capsys.readouterr().out == '2'", "", "capsys")
case("same_text", "assert Basket(1).prices is Basket(1).prices", "")
case(
    "none_in_variable",
    "values = [1]\nactual = none(values)\nassert actual == values",
    "After\n\n```python\nvalues = [1]\nactual = none(values)\n```\n\n"
    "`actual` is `None`, but `[1]` is expected.",
)
case(
    "nested",
    "def one(n):\n    return n\nassert apply(one) == 2",
    "After\n\n```python\ndef one(n):\n    return n\n```\n\n"
    "`apply(one)` returns `1`, but `2` is expected.",
)
case(
    "of_the_module",
    "assert apply(double) == 3",
    "After\n\n```python\ndef double(n):\n    return twice * n\ntwice = 2\n```\n\n"
    "`apply(double)` returns `2`, but `3` is expected.",
)
case(
    "minimal",
    "basket = Basket(9)\nbasket.add(1)\nbasket = Basket(1)\nprint(basket)\nbasket.add(2)\n"
    "assert basket.total() == 3",
    "After\n\n```python\nbasket = Basket(1)\nbasket.add(2)\n```\n\n"
    "`basket.total()` returns `2`, but `3` is expected.",
)
case("starred", "parse(*('x',), **{})", "`parse('x')` raises `KeyError: 'x'`.")
case("lines", "fail_long()", "`fail_long()` raises `ValueError: one`.")
case(
    "unrelated_lines",
    "assert check('x' * 90 + '\\n1\\n2') == 'y' * 90 + '\\n1'",
    "`check('x' * 90 + '\\n1\\n2')` should equal `'y' * 90 + '\\n1'`, but does not.",
)
case(
    "loop",
    'for text, found in [("a", ["a"]), ("b c", ["b"])]:\n    assert words(text) == found',
    "`words('b c')` returns `['b', 'c']`, but `['b']` is expected.",
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
    "test_helper": "",
    "test_raises_regex": (
        "`parse('x')` raises `KeyError`: `'x'`, but a message that matches `y+` is expected."
    ),
    "test_raises_called_wrongly": "`parse('x')` raises `KeyError: 'x'`.",
    "test_constant": "",
}
SAID = {
    **{f"test_{name}": said for name, (_, _, mark, said) in CASES.items() if not mark},
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
