"""Objects that equal whatever they are compared with."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agent.verify.tamper.names import Names

_BUILTINS = frozenset({"str", "int", "float", "bytes", "tuple", "list", "dict", "complex", "set"})
_WANTED = {"__eq__": True, "__ne__": False}
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def always_equal(names: Names) -> Iterator[str]:
    """A sign for each comparison method whose answer is no comparison."""
    for name, value, owner in _methods(names.nodes):
        if _is_fixed(value, _WANTED[name]) or _ignores_self(value, _WANTED[name], owner):
            what = "returns True" if _WANTED[name] else "returns False"
            yield f"objects that equal everything ({name} {what})"


def own_equality(names: Names) -> Iterator[str]:
    """A sign for each subclass of a builtin type that brings its own comparison."""
    for node in names.nodes:
        if isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)} & _BUILTINS
            if bases and list(_methods(list(ast.walk(node)))):
                yield f"a {min(bases)} with a comparison of its own ({node.name})"


def _methods(nodes: list[ast.AST]) -> Iterator[tuple[str, Function, str]]:
    """Each comparison method, however it is given to a class: name, function, class if known."""
    functions = {n.name: n for n in nodes if isinstance(n, ast.FunctionDef)}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and part.name in _WANTED:
                    yield part.name, part, node.name
        for name, value in _given(node):
            if name in _WANTED:
                function = functions.get(value.id) if isinstance(value, ast.Name) else value
                if isinstance(function, (ast.FunctionDef, ast.Lambda)):
                    yield name, function, ""


def _given(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names and values: assigned, set as an attribute, or in the dict that type() takes."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Attribute):
                yield target.attr, node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
        name = node.args[1] if len(node.args) == 3 else None
        if isinstance(name, ast.Constant):
            yield str(name.value), node.args[2]


def _returns(function: Function) -> list[ast.expr | None]:
    if isinstance(function, ast.Lambda):
        return [function.body]
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]


def _is_fixed(function: Function, wanted: bool) -> bool:
    answers = [_truth(value) for value in _returns(function)]
    return bool(answers) and all(answer is wanted for answer in answers)


def _ignores_self(function: Function, wanted: bool, owner: str) -> bool:
    """Whether it may answer so without ever looking at itself or at its own class."""
    every = [*function.args.posonlyargs, *function.args.args]
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    if not every or {every[0].arg, owner, "super", "__class__"} & used:
        return False
    return any(_truth(value) is wanted for value in _returns(function))


def _truth(node: ast.expr | None) -> bool | None:
    """What an expression always comes to, None when that depends on something."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _truth(node.operand)
        return None if inner is None else not inner
    if isinstance(node, ast.BoolOp):
        answers = [_truth(value) for value in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in answers:
            return decisive
        return None if None in answers else not decisive
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compared(node.left, node.ops[0], node.comparators[0])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "bool" and len(node.args) == 1:
            return _truth(node.args[0])
        if node.func.id == "isinstance" and ast.unparse(node.args[-1]) == "object":
            return True
    return None


def _compared(left: ast.expr, how: ast.cmpop, right: ast.expr) -> bool | None:
    if ast.dump(left) == ast.dump(right):
        if isinstance(how, (ast.Eq, ast.Is, ast.LtE, ast.GtE)):
            return True
        return False if isinstance(how, (ast.NotEq, ast.IsNot, ast.Lt, ast.Gt)) else None
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        if isinstance(how, ast.Eq):
            return bool(left.value == right.value)
        return bool(left.value != right.value) if isinstance(how, ast.NotEq) else None
    return None
