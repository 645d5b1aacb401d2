"""Other inputs of the same kind, as expressions of Python: a little changed."""

from __future__ import annotations

import ast
from random import Random

from tools.testing import perturb_inside as values

LONGEST = 2000


def is_site(node: ast.AST) -> bool:
    """Whether an expression can be changed."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str | bytes):
            return len(node.value) <= LONGEST
        return isinstance(node.value, bool | int | float)
    if isinstance(node, ast.List | ast.Set):
        return len(node.elts) > 1 and not any(isinstance(e, ast.Starred) for e in node.elts)
    return isinstance(node, ast.Dict) and len(node.keys) > 1


def changed(node: ast.expr, random: Random) -> ast.expr:
    """Another expression of the same kind, for one that `is_site`."""
    match node:
        case ast.Constant(value=bool(truth)):
            return ast.Constant(not truth)
        case ast.Constant(value=int(number)):
            return _number(values.integer(number, random))
        case ast.Constant(value=float(number)):
            return _number(values.floating(number, random))
        case ast.Constant(value=str(text)):
            return ast.Constant(values.text(text, random))
        case ast.Constant(value=bytes(data)):
            return ast.Constant(values.data(data, random))
        case ast.List(elts=parts):
            return ast.List(values.sequence(parts, random), ast.Load())
        case ast.Set(elts=parts):
            return ast.Set(values.without(parts, random.randrange(len(parts))))
        case ast.Dict(keys=keys, values=held):
            gone = random.randrange(len(keys))
            return ast.Dict(values.without(keys, gone), values.without(held, gone))
    raise AssertionError(f"{ast.dump(node)} cannot be changed")


def _number(value: float) -> ast.expr:
    """A literal as the parser has it: a minus sign is an operator."""
    if value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)
