"""A test with many inputs becomes one with a single row of them."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from random import Random

from agent.tasks.heldout.checks import is_literal, is_load

LONGEST = 400
"""Characters of a constant that is put in the place of its name."""

Row = tuple[tuple[str, ast.expr], ...]
"""Parameters of a test, with the expressions that are their values."""


def is_parametrize(decorator: ast.expr) -> bool:
    """Whether a decorator gives a test its parameters."""
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith(
        "mark.parametrize"
    )


def rows_of(function: ast.FunctionDef, constants: Mapping[str, ast.expr]) -> list[Row] | None:
    """All combinations of parameters (at most a thousand), None where they cannot be read."""
    found: list[Row] = [()]
    for decorator in function.decorator_list:
        if not is_parametrize(decorator):
            continue
        assert isinstance(decorator, ast.Call)
        rows = _parametrized(decorator, constants)
        if rows is None:
            return None
        found = [(*one, *other) for one in rows for other in found][:1000]
    return found or None


def _parametrized(call: ast.Call, constants: Mapping[str, ast.expr]) -> list[Row] | None:
    if len(call.args) < 2 or not is_literal(call.args[0]):
        return None
    if any(word.arg == "indirect" for word in call.keywords):
        return None
    named = ast.literal_eval(call.args[0])
    split = [word.strip() for word in named.split(",")] if isinstance(named, str) else list(named)
    names = [name for name in split if name]
    values = _elements(call.args[1], constants)
    if values is None:
        return None
    rows: list[Row] = []
    for value in values:
        if isinstance(value, ast.Call):
            if not ast.unparse(value.func).endswith("param") or any(
                word.arg == "marks" for word in value.keywords
            ):
                return None
            parts = value.args
        elif len(names) == 1:
            parts = [value]
        else:
            parts = _elements(value, constants) or []
        if len(parts) != len(names):
            return None
        rows.append(tuple(zip(names, parts, strict=True)))
    return rows


def _elements(node: ast.expr, constants: Mapping[str, ast.expr]) -> list[ast.expr] | None:
    """The elements of a list or a tuple that is written out, here or at the top of the module."""
    if isinstance(node, ast.Name):
        node = constants.get(node.id, node)
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    return None if any(isinstance(part, ast.Starred) for part in node.elts) else node.elts


def row_id(row: Row) -> str:
    """What pytest calls a row of plain values, as far as it can be told."""
    return "-".join(
        str(ast.literal_eval(value)) if is_literal(value) else name for name, value in row
    )


def reduce(
    function: ast.FunctionDef, row: Row, constants: Mapping[str, ast.expr], random: Random
) -> None:
    """Turn parameters into variables and loops into one turn each; drop the docstring."""
    names = {name for name, _ in row}
    function.args.args = [given for given in function.args.args if given.arg not in names]
    function.decorator_list = [d for d in function.decorator_list if not is_parametrize(d)]
    function.returns = None
    if ast.get_docstring(function, clean=False) is not None:
        function.body = function.body[1:]
    bound = [ast.Assign([ast.Name(name, ast.Store())], value) for name, value in row]
    function.body = [*bound, *function.body]
    _Reduce(constants, random).run(function)


class _Reduce(ast.NodeTransformer):
    """One turn of each loop over elements that are written out; short constants put in place."""

    def __init__(self, constants: Mapping[str, ast.expr], random: Random) -> None:
        self.constants, self.random = constants, random

    def run(self, function: ast.FunctionDef) -> None:
        """Change a function in place."""
        bound = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and not is_load(n)}
        bound |= {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}
        known = {name: value for name, value in self.constants.items() if name not in bound}
        self.constants = known
        self.generic_visit(function)

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        values = _elements(node.iter, self.constants)
        if not values:
            return self.generic_visit(node)
        value = copy.deepcopy(self.random.choice(values))
        leaves = any(isinstance(n, ast.Break | ast.Continue) for n in ast.walk(node))
        if leaves or node.orelse:
            node.iter = ast.List([value], ast.Load())
            return self.generic_visit(node)
        body = [*_assigned(node.target, value), *node.body]
        inner: list[ast.stmt] = []
        for statement in body:
            made = self.visit(statement)
            inner += made if isinstance(made, list) else [made]
        return inner

    def visit_Name(self, node: ast.Name) -> ast.AST:
        value = self.constants.get(node.id)
        if value is None or not isinstance(node.ctx, ast.Load) or not is_literal(value):
            return node
        return copy.deepcopy(value) if len(ast.unparse(value)) <= LONGEST else node


def _assigned(target: ast.expr, value: ast.expr) -> list[ast.stmt]:
    """Assignments, one for each variable where both sides are written out."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple | ast.List):
        parts = [*target.elts, *value.elts]
        if len(target.elts) == len(value.elts) and not any(
            isinstance(part, ast.Starred) for part in parts
        ):
            pairs = zip(target.elts, value.elts, strict=True)
            return [made for one, other in pairs for made in _assigned(one, other)]
    return [ast.Assign([target], value)]
