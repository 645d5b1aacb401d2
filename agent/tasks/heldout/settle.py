"""Tests out of variants, and what their checks saw on the good version."""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.tasks.heldout.checks import (
    Check,
    Equal,
    Raises,
    Truth,
    expected_names,
    is_literal,
    is_load,
    with_checks,
)
from agent.tasks.heldout.variants import Variant

NAMED = frozenset({"ValueError", "ZeroDivisionError", "OverflowError"})
"""Exceptions of Python that a function raises on purpose; the others come by accident."""

_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Assert, ast.Return)


@dataclass(frozen=True)
class Seen:
    """What a test saw: at each check, and the exception that ended it, at which statement."""

    checks: tuple[Any, ...]
    at: int
    error: Any

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Seen:
        """What the recorder wrote."""
        return cls(tuple(row["seen"]), row["at"], row["error"])


class _Unfit(Exception):
    """No test can be made of it."""


def settled(variant: Variant, seen: Seen) -> ast.FunctionDef | None:
    """The test that expects what was seen; None where that is nothing to rely on."""
    new = copy.deepcopy(variant.function)
    settle = _Settle(seen, expected_names(new.body), variant.reached)
    try:
        body = with_checks(new.body, settle.replace)
        if seen.error is not None:
            body = [*body[: seen.at], _raising(body[seen.at], seen.error)]
            settle.kept += 1
    except _Unfit:
        return None
    new.body = [statement for part in body for statement in part]
    while new.body and new.body[-1] in settle.bare:
        new.body.pop()
    loaded = {n.id for n in ast.walk(new) if isinstance(n, ast.Name) and is_load(n)}
    new.body = [node for node in new.body if not _names(node) & settle.expected - loaded]
    return new if settle.kept else None


class _Settle:
    """Turns checks into what was seen. `kept` counts those that depend on changed inputs.

    `bare` are the others, which are worked out and expect nothing.
    """

    def __init__(self, seen: Seen, expected: frozenset[str], reached: Collection[int]) -> None:
        self.seen, self.expected, self.reached = seen, expected, reached
        self.kept = 0
        self.bare: list[ast.stmt] = []

    def replace(self, number: int, check: Check, statement: ast.stmt) -> list[ast.stmt]:
        told = [row[1:] for row in self.seen.checks if row[0] == number]
        same = told and all(row == told[0] for row in told)
        if isinstance(check, Raises):
            if not same:
                raise _Unfit
            self.kept += number in self.reached
            return _block(check, statement, *told[0])
        if not same or number not in self.reached:
            return self.worked_out(check.test)
        if isinstance(check, Truth):
            made: list[ast.stmt] = [ast.Assert(_truth(check.test, told[0][0]))]
        else:
            made = self.equal(check, *told[0])
        self.kept += any(isinstance(node, ast.Assert) for node in made)
        return made

    def equal(
        self, check: Equal, left: str | None, right: str | None, equal: bool
    ) -> list[ast.stmt]:
        sides = [(s, t) for s, t in ((check.left, left), (check.right, right)) if self.is_told(s)]
        called = [(s, t) for s, t in sides if any(isinstance(n, ast.Call) for n in ast.walk(s))]
        wanted = [(s, _literal(t)) for s, t in called or sides]
        made: list[ast.stmt] = [
            ast.Assert(Equal(side, value).test) for side, value in wanted if value is not None
        ]
        if not made and equal:
            made = [ast.Assert(check.test)]
        return made or self.worked_out(check.test)

    def worked_out(self, test: ast.expr) -> list[ast.stmt]:
        """A check of which nothing is expected, kept for what it does."""
        self.bare.append(ast.Expr(test))
        return self.bare[-1:]

    def is_told(self, side: ast.expr) -> bool:
        """Whether a side of a comparison is computed, not written out."""
        return not is_literal(side) and not (
            isinstance(side, ast.Name) and side.id in self.expected
        )


def _names(node: ast.stmt) -> frozenset[str]:
    """What a statement assigns that does nothing else."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return frozenset(target.id for target in targets if isinstance(target, ast.Name))


def _truth(test: ast.expr, holds: bool) -> ast.expr:
    return test if holds else ast.UnaryOp(ast.Not(), test)


def _literal(text: str | None) -> ast.expr | None:
    """The expression to compare with; floating-point numbers are compared loosely."""
    if text is None:
        return None
    node = ast.parse(text, mode="eval").body
    if not _has_float(node):
        return node
    parts: Sequence[ast.expr | None] = []
    if isinstance(node, ast.List | ast.Tuple):
        parts = node.elts
    elif isinstance(node, ast.Dict):
        parts = node.values
    elif isinstance(node, ast.Set):
        return None
    if any(not isinstance(p, ast.Constant | ast.UnaryOp) for p in parts):
        return None
    approx = ast.Attribute(ast.Name("pytest", ast.Load()), "approx", ast.Load())
    return ast.Call(approx, [node], [])


def _has_float(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Constant) and type(n.value) is float for n in ast.walk(node))


def _block(check: Raises, statement: ast.stmt, how: str, kinds: Any) -> list[ast.stmt]:
    """A block that raises as it did; raises _Unfit."""
    if how == "kept":
        return [statement]
    if check.name is not None:
        raise _Unfit
    if how == "none":
        return check.body
    kind = check.kind if how == "message" else None
    return _raising(check.body, kinds, kind)


def _raising(body: Sequence[ast.stmt], kinds: Any, kind: ast.expr | None = None) -> list[ast.stmt]:
    """Statements that raise an exception of the library, or one on purpose; raises _Unfit."""
    if not all(isinstance(statement, _SIMPLE) for statement in body):
        raise _Unfit
    imports: list[ast.stmt] = []
    if kind is None:
        module, name, ours = next(
            (k for k in kinds if k[2] or (k[0] == "builtins" and k[1] in NAMED)), ("", "", False)
        )
        if not name or name == "AssertionError":
            raise _Unfit
        kind = ast.Name(name, ast.Load())
        if ours:
            imports = [ast.ImportFrom(module, [ast.alias(name)], 0)]
    bare = [ast.Expr(s.test) if isinstance(s, ast.Assert) else s for s in body]
    raises = ast.Attribute(ast.Name("pytest", ast.Load()), "raises", ast.Load())
    manager = ast.Call(raises, [kind], [])
    return [*imports, ast.With([ast.withitem(manager)], bare)]
