"""Loops of a test: whether there is a first round, and what runs in it."""

from __future__ import annotations

import ast

from agent.verify.control.names import FUNCTIONS, Function, own


def is_filled(node: ast.expr, function: Function, tree: ast.Module) -> bool:
    """Whether a loop over it has a round at least, as a literal shows.

    Also over a name that stands for a literal, in the function or in the file.
    """
    if isinstance(node, ast.Name):
        values = [_constant(node.id, scope) for scope in (function, tree)]
        return any(value is not None and _has_element(value) for value in values)
    if isinstance(node, ast.Call) and _is_iterator(node):
        return all(is_filled(argument, function, tree) for argument in node.args)
    return _has_element(node)


def unbroken(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a loop that run in its first round whatever happens."""
    for number, statement in enumerate(body):
        if any(isinstance(n, (ast.Break, ast.Continue)) for n in own(statement)):
            return body[:number]
    return body


def _is_iterator(node: ast.Call) -> bool:
    names = ("enumerate", "sorted", "reversed", "zip")
    return isinstance(node.func, ast.Name) and node.func.id in names and bool(node.args)


def _constant(name: str, scope: ast.AST) -> ast.expr | None:
    """What a name stands for that is set once in a scope and only read by loops."""
    nodes = list(ast.walk(scope))
    if any(isinstance(n, ast.arg) and n.arg == name for n in nodes):
        return None
    uses = [n for n in nodes if isinstance(n, ast.Name) and n.id == name]
    looped: list[ast.expr] = []
    for node in nodes:
        if isinstance(node, ast.For):
            called = isinstance(node.iter, ast.Call) and _is_iterator(node.iter)
            looped += node.iter.args if called and isinstance(node.iter, ast.Call) else [node.iter]
    if sum(use in looped for use in uses) != len(uses) - 1:
        return None
    block = scope.body if isinstance(scope, (ast.Module, *FUNCTIONS)) else []
    for one in block:
        if isinstance(one, ast.Assign) and len(one.targets) == 1 and one.targets[0] in uses:
            return one.value
    return None


def _has_element(node: ast.expr) -> bool:
    """Whether a literal has an element."""
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return any(not isinstance(element, ast.Starred) for element in node.elts)
    if isinstance(node, ast.Dict):
        return any(key is not None for key in node.keys)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (str, bytes)) and bool(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        inside = node.func.value
        views = ("items", "keys", "values")
        return node.func.attr in views and isinstance(inside, ast.Dict) and _has_element(inside)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        ends = [a.value for a in node.args if isinstance(a, ast.Constant)]
        numbers = [end for end in ends if isinstance(end, int)]
        return 0 < len(numbers) == len(node.args) < 3 and len(range(*numbers)) > 0
    return False
