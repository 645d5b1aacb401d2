"""What a failed assertion says: the values that were compared, from pytest and unittest."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from agent.tasks.issue.syntax import last_name, parsed
from tools.testing.results import Failure

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_METHODS = {
    "assertEqual": ("==", " != "),
    "assertListEqual": ("==", " != "),
    "assertTupleEqual": ("==", " != "),
    "assertDictEqual": ("==", " != "),
    "assertMultiLineEqual": ("==", " != "),
    "assertNotEqual": ("!=", " == "),
    "assertAlmostEqual": ("about", " != "),
    "assertIs": ("is", " is not "),
    "assertIsNot": ("is not", " is "),
    "assertIn": ("in", " not found in "),
    "assertNotIn": ("not in", " unexpectedly found in "),
    "assertGreater": (">", " not greater than "),
    "assertGreaterEqual": (">=", " not greater than or equal to "),
    "assertLess": ("<", " not less than "),
    "assertLessEqual": ("<=", " not less than or equal to "),
}
_SINGLE = {
    "assertTrue": ("true", " is not true"),
    "assertFalse": ("false", " is not false"),
    "assertIsNone": ("is", " is not None"),
}
_TRUE = ast.Constant(True)
RAISES = ("raises", "assertRaises", "assertRaisesRegex")
WARNS = ("warns", "assertWarns", "assertWarnsRegex")
CATCHERS = frozenset({*RAISES, *WARNS})


@dataclass(frozen=True)
class Claim:
    """`left op right` did not hold. Values are the texts of what was found, empty if unknown.

    `op` is Python's, or "true" and "false" for the left side alone, or "about". `called` is the
    left side's call with the arguments' values. `swapped` once the sides have changed places.
    """

    op: str
    left: ast.expr
    right: ast.expr = _TRUE
    left_value: str = ""
    right_value: str = ""
    detail: str = ""
    called: ast.Call | None = None
    swapped: bool = False
    notes: tuple[str, ...] = ()

    def mirrored(self, op: str) -> Claim:
        """The claim with its sides changed."""
        turned = replace(
            self,
            op=op,
            left=self.right,
            right=self.left,
            left_value=self.right_value,
            right_value=self.left_value,
            swapped=not self.swapped,
        )
        return turned.read()

    def read(self) -> Claim:
        """The claim with what pytest's notes tell of its left side."""
        return replace(
            self,
            called=_called(self.left, self.notes),
            detail=_detail(self.notes, self.swapped) if self.op == "==" else "",
        )


def explanation(failure: Failure) -> tuple[str, ...]:
    """The lines that pytest marks with `E`, of the last error; the message where there are none."""
    found: list[str] = []
    for line in failure.longrepr.splitlines():
        if line.startswith("E  ") or line == "E":
            found.append(line[4:])
        elif found:
            found = []
    return tuple(found) or (failure.message,)


def claim_of(statement: ast.stmt, lines: Sequence[str]) -> Claim | None:
    """The claim of an `assert` or of a unittest method, with the values that the lines hold."""
    notes = tuple(lines)
    if isinstance(statement, ast.Assert):
        heads = (line.removeprefix("AssertionError: ") for line in lines)
        head = next((h[7:] for h in heads if h.startswith("assert ")), "")
        return _asserted(statement.test, head, notes).read()
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        claim = _method(statement.value, notes[0].removeprefix("AssertionError: "), notes)
        return claim.read() if claim else None
    return None


def is_builtin(name: str) -> bool:
    """Whether a call of this name shows a value and does not make one."""
    return name in _VALUES


def acts(node: ast.expr) -> bool:
    """Whether an expression calls something other than what only holds or shows a value."""
    return any(
        isinstance(part, ast.Call) and not is_builtin(last_name(part.func))
        for part in ast.walk(node)
    )


def subject(statement: ast.stmt) -> ast.expr | None:
    """The expression that a statement is about."""
    match statement:
        case ast.Expr(value=ast.Call() as given) if (called := called_in(given)) is not None:
            return called
        case ast.Assert(test=ast.Compare(left=left, comparators=[right])):
            return _of_two(left, right)
        case ast.Assert(test=test):
            return test
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=[first, *more])) if (
            name.startswith("assert")
        ):
            return _of_two(first, more[0]) if name in _METHODS and more else first
        case ast.Expr(value=ast.expr() as value) | ast.Return(value=ast.expr() as value):
            return value
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return value
        case ast.With(items=[item, *_]):
            return item.context_expr
        case ast.For(iter=value) | ast.If(test=value) | ast.While(test=value):
            return value
    return None


def called_in(given: ast.Call) -> ast.Call | None:
    """The call that `raises(error, function, …)` and its like make."""
    name = last_name(given.func)
    place = 2 if name.endswith("Regex") else 1
    if name not in CATCHERS or len(given.args) <= place:
        return None
    return ast.Call(given.args[place], given.args[place + 1 :], given.keywords)


def _of_two(left: ast.expr, right: ast.expr) -> ast.expr:
    constant = isinstance(left, ast.Constant) and not isinstance(right, ast.Constant)
    return right if constant or (not acts(left) and acts(right)) else left


def mismatch(lines: Sequence[str]) -> tuple[str, str] | None:
    """The pattern and the message, of an exception whose message did not match."""
    text = "\n".join(line.strip() for line in lines)
    pytest = r"(?:Expected regex|Regex): (.+)\n\s*(?:Actual message|Input): (.+)"
    unittest = r'AssertionError: "(.+)" does not match "(.+)"'
    if (found := re.search(pytest, text)) is not None:
        return _unquoted(found[1]), _unquoted(found[2])
    found = re.search(unittest, text)
    return (found[1], found[2]) if found is not None else None


def _unquoted(text: str) -> str:
    shown = parsed(text)
    if isinstance(shown, ast.Constant) and isinstance(shown.value, str):
        return shown.value
    return text


_VALUES = frozenset(
    {
        *("list", "dict", "set", "tuple", "frozenset", "sorted", "str", "repr", "int", "float"),
        *("bool", "bytes", "range", "type", "len", "sum", "min", "max", "abs", "round", "approx"),
        *("Decimal", "Fraction", "Path", "date", "datetime", "timedelta"),
    }
)


def _asserted(test: ast.expr, head: str, notes: tuple[str, ...]) -> Claim:
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        op = _OPERATORS[type(test.ops[0])]
        left, right = _split(head, f" {op} ")
        if isinstance(test.comparators[0], ast.Call):
            call = test.comparators[0]
            if op == "==" and last_name(call.func) == "approx" and call.args:
                right = right.split(" ± ")[0]
                return Claim("about", test.left, call.args[0], left, right, notes=notes)
        return Claim(op, test.left, test.comparators[0], left, right, notes=notes)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return Claim("false", test.operand, left_value=head.removeprefix("not "), notes=notes)
    if isinstance(test, ast.BoolOp):
        head = ""
    return Claim("true", test, left_value=head, notes=notes)


def _method(call: ast.Call, head: str, notes: tuple[str, ...]) -> Claim | None:
    name, arguments = last_name(call.func), call.args
    if name in _SINGLE and arguments:
        op, tail = _SINGLE[name]
        value, found, _ = head.partition(tail)
        known = value if found else ""
        if op == "is":
            return Claim(op, arguments[0], ast.Constant(None), known, "None", notes=notes)
        return Claim(op, arguments[0], left_value=known, notes=notes)
    if name not in _METHODS or len(arguments) < 2:
        return None
    op, between = _METHODS[name]
    if len(arguments) > 2 or call.keywords:
        head = head.rpartition(" : ")[0] or head
    head = re.sub(r"^\w+ differ: ", "", head)
    head = re.sub(r" within \S+ (places|delta).*$", "", head)
    left, right = _split(head, between)
    return Claim(op, arguments[0], arguments[1], left, right, notes=notes)


def _split(head: str, between: str) -> tuple[str, str]:
    """The two sides of a comparison as text; empty when they cannot be told apart."""
    cuts = [m.start() for m in re.finditer(re.escape(between), head)]
    sides = [(head[:cut], head[cut + len(between) :]) for cut in cuts]
    if len(sides) > 1:
        sides = [side for side in sides if all(parsed(part) for part in side)]
    return sides[0] if len(sides) == 1 else ("", "")


def _called(node: ast.expr, notes: Sequence[str]) -> ast.Call | None:
    """The same call as pytest shows it, with the values of its arguments."""
    if not isinstance(node, ast.Call):
        return None
    for note in notes:
        found = re.match(r"\s*\+\s+(?:where|and)\s+.*? = (.+)$", note)
        shown = parsed(found[1]) if found and "..." not in found[1] else None
        if (
            isinstance(shown, ast.Call)
            and last_name(shown.func) == last_name(node.func)
            and len(shown.args) == len(node.args)
            and len(shown.keywords) == len(node.keywords)
        ):
            return shown
    return None


def _detail(notes: Sequence[str], swapped: bool) -> str:
    """Where two long values differ, in words; the left one is what was found."""
    text = "\n".join(note.strip() for note in notes)
    own, other = ("Right", "Left") if swapped else ("Left", "Right")

    def differs(pattern: str, place: str) -> str:
        found = re.search(pattern, text)
        if found is None or "..." in found[0]:
            return ""
        *where, left, right = found.groups()
        got, want = (right, left) if swapped else (left, right)
        if got == want:
            return ""
        return f"{place.format(*where)} is `{got}` instead of `{want}`"

    more = rf"{own} contains (one|\d+) more items?(?:, first extra item)?:\n?(.+)"
    less = rf"{other} contains (one|\d+) more items?(?:, first extra item)?:\n?(.+)"
    found = differs(r"At index (\d+) diff: (.+) != (.+)", "item {} (from 0)")
    found = found or differs(r"First differing element (\d+):\n(.+)\n(.+)", "item {} (from 0)")
    if found or (found := differs(r"Differing items:\n(.+) != (.+)", "an entry")):
        return found
    if (extra := re.search(more, text)) and "..." not in extra[0]:
        return f"there is more than expected, as `{extra[2]}`"
    if (lacking := re.search(less, text)) and "..." not in lacking[0]:
        return f"`{lacking[2]}` is missing"
    return _line_detail(notes, swapped)


def _line_detail(notes: Sequence[str], swapped: bool) -> str:
    """The first pair of neighbouring lines that differ. pytest marks what is found with `+`."""
    marks = [re.match(r"\s+([-+?]) (?!\s*(?:where|and) )(.*)", note) for note in notes]
    lines = [(m[1], m[2].rstrip()) if m else (" ", "") for m in marks if not m or m[1] != "?"]
    runs = [(sign, [text for _, text in run]) for sign, run in groupby(lines, lambda x: x[0])]
    for (sign, first), (other, second) in pairwise(runs):
        if {sign, other} != {"+", "-"} or len(first) != len(second):
            continue
        for one, two in zip(first, second, strict=True):
            if one.strip() == two.strip() or "..." in one + two:
                continue
            got, want = (one, two) if (sign == "+") is not swapped else (two, one)
            return f"it holds `{got}` instead of `{want}`"
    return ""
