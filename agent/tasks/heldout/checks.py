"""What a test checks: comparisons, truths and exceptions, numbered in the order of the source."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_EQUAL = {"assertEqual", "assertEquals", "assertAlmostEqual", "assert_equal", "eq_"} | {
    f"assert{kind}Equal" for kind in ("List", "Dict", "Tuple", "Set", "Sequence", "MultiLine")
}
_OPERATORS: dict[str, ast.cmpop] = {
    "assertNotEqual": ast.NotEq(),
    "assertIs": ast.Is(),
    "assertIsNot": ast.IsNot(),
    "assertIn": ast.In(),
    "assertNotIn": ast.NotIn(),
    "assertLess": ast.Lt(),
    "assertLessEqual": ast.LtE(),
    "assertGreater": ast.Gt(),
    "assertGreaterEqual": ast.GtE(),
}
_NONE: dict[str, ast.cmpop] = {"assertIsNone": ast.Is(), "assertIsNotNone": ast.IsNot()}
_RAISES = {"raises", "assertRaises", "assertRaisesRegex", "assertRaisesRegexp"}
_SKIPPED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True)
class Equal:
    """Two sides that are the same."""

    left: ast.expr
    right: ast.expr

    @property
    def test(self) -> ast.expr:
        """The comparison itself."""
        return ast.Compare(self.left, [ast.Eq()], [self.right])


@dataclass(frozen=True)
class Truth:
    """An expression that holds."""

    test: ast.expr


@dataclass(frozen=True)
class Raises:
    """A block that raises; `kind` is the exception as the test names it."""

    manager: ast.Call
    kind: ast.expr
    name: ast.expr | None
    body: list[ast.stmt]


Check = Equal | Truth | Raises
Replace = Callable[[int, Check, ast.stmt], list[ast.stmt]]


def check_of(node: ast.stmt) -> Check | None:
    """What a statement checks, None where it checks nothing that we know."""
    if isinstance(node, ast.Assert):
        return _asserted(node.test)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _called(node.value)
    if isinstance(node, ast.With) and len(node.items) == 1:
        item = node.items[0]
        manager = item.context_expr
        if isinstance(manager, ast.Call) and _name(manager.func) in _RAISES and manager.args:
            return Raises(manager, manager.args[0], item.optional_vars, node.body)
    return None


def _asserted(test: ast.expr) -> Check:
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return Equal(test.left, test.comparators[0])
    return Truth(test)


def _called(call: ast.Call) -> Check | None:
    name, given = _name(call.func), call.args
    if any(isinstance(part, ast.Starred) for part in given):
        return None
    if name in _EQUAL and len(given) >= 2:
        return Equal(given[0], given[1])
    if name in _OPERATORS and len(given) >= 2:
        return Truth(ast.Compare(given[0], [_OPERATORS[name]], [given[1]]))
    if name in _NONE and given:
        return Truth(ast.Compare(given[0], [_NONE[name]], [ast.Constant(None)]))
    if name in ("assertTrue", "assert_") and given:
        return Truth(given[0])
    if name == "assertFalse" and given:
        return Truth(ast.UnaryOp(ast.Not(), given[0]))
    if name == "assertIsInstance" and len(given) >= 2:
        return Truth(ast.Call(ast.Name("isinstance", ast.Load()), given[:2], []))
    if name in _RAISES and len(given) >= 2 and name != "assertRaisesRegex":
        inner = ast.Expr(ast.Call(given[1], given[2:], call.keywords))
        return Raises(ast.Call(call.func, given[:1], []), given[0], None, [inner])
    return None


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def checks_in(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.stmt, Check]]:
    """The checks of a test, those in blocks included, in order."""
    for statement in body:
        if isinstance(statement, _SKIPPED):
            continue
        if check := check_of(statement):
            yield statement, check
            continue
        for inner in _blocks(statement):
            yield from checks_in(inner)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield from filter(None, [getattr(statement, name, None)])
    for handler in getattr(statement, "handlers", ()):
        yield handler.body


def with_checks(body: Sequence[ast.stmt], replace: Replace) -> list[list[ast.stmt]]:
    """Each statement of a test with its checks replaced; checks are numbered as in `checks_in`."""
    numbers = {id(node): number for number, (node, _) in enumerate(checks_in(body))}

    def made(statement: ast.stmt) -> list[ast.stmt]:
        number = numbers.get(id(statement))
        if number is not None:
            check = check_of(statement)
            assert check is not None
            return replace(number, check, statement)
        if not isinstance(statement, _SKIPPED):
            for inner in _blocks(statement):
                inner[:] = [part for child in inner for part in made(child)]
        return [statement]

    return [made(statement) for statement in body]


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is a plain value, written out."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def expected_names(body: Sequence[ast.stmt]) -> frozenset[str]:
    """Variables that hold nothing but the expected side of comparisons."""
    module = ast.Module(list(body), [])
    literal: dict[str, bool] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            literal[name] = literal.get(name, True) and is_literal(node.value)
        elif isinstance(node, ast.For | ast.AugAssign | ast.With):
            targets = [node] if not isinstance(node, ast.With) else node.items
            for target in targets:
                literal.update(dict.fromkeys(_stored(target), False))
    bare = [
        side.id
        for _, check in checks_in(body)
        if isinstance(check, Equal)
        for side in (check.left, check.right)
        if isinstance(side, ast.Name)
    ]
    used = [n.id for n in ast.walk(module) if isinstance(n, ast.Name) and is_load(n)]
    return frozenset(
        name for name in set(bare) if literal.get(name) and bare.count(name) == used.count(name)
    )


def _stored(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id


def is_load(node: ast.Name) -> bool:
    """Whether a variable is read."""
    return isinstance(node.ctx, ast.Load)
