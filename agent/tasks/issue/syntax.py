"""Small questions about the syntax trees of tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_LEAVES = ast.Return | ast.Yield | ast.YieldFrom | ast.Break | ast.Continue


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name, empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def loaded(node: ast.AST) -> set[str]:
    """The names that a piece of code reads."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def stored(node: ast.AST) -> set[str]:
    """The names that a piece of code binds."""
    names: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            names.add(part.id)
        elif isinstance(part, ast.arg):
            names.add(part.arg)
        elif isinstance(part, ast.ExceptHandler) and part.name:
            names.add(part.name)
        elif isinstance(part, ast.alias):
            names.add((part.asname or part.name).split(".")[0])
        elif isinstance(part, ast.FunctionDef | ast.ClassDef) and part is not node:
            names.add(part.name)
    return names


def bound(statement: ast.stmt) -> set[str]:
    """The names that a statement binds, that of a definition with it."""
    if isinstance(statement, FUNCTIONS | ast.ClassDef):
        return {statement.name}
    return stored(statement)


def freshly_bound(statement: ast.stmt) -> set[str]:
    """The names that a statement binds whatever they were before."""
    match statement:
        case ast.FunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Assign(targets=targets, value=value):
            return set[str]().union(*map(stored, targets)) - loaded(value)
        case ast.With(items=items):
            named = [item.optional_vars for item in items if item.optional_vars is not None]
            return set[str]().union(*map(stored, named)) - loaded(statement)
    return set()


def imported(statement: ast.stmt) -> set[str]:
    """The names that a statement imports."""
    aliases = (n for n in ast.walk(statement) if isinstance(n, ast.alias))
    return {(n.asname or n.name).split(".")[0] for n in aliases}


def times_stored(name: str, node: ast.AST) -> int:
    """How often a piece of code binds a name in an assignment or a loop."""
    named = (n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == name)
    return sum(not isinstance(n.ctx, ast.Load) for n in named)


def assigned(name: str, block: Sequence[ast.stmt]) -> ast.expr | None:
    """The value of the only plain assignment to a name in a block."""
    makers = [statement for statement in block if name in stored(statement)]
    if len(makers) == 1:
        match makers[0]:
            case ast.Assign(targets=[ast.Name()], value=value):
                return value
            case ast.AnnAssign(target=ast.Name(), value=ast.expr() as given):
                return given
    return None


def elements(node: ast.expr, *blocks: Sequence[ast.stmt]) -> list[ast.expr]:
    """The elements of a literal, or of one that has a name in one of the blocks."""
    if isinstance(node, ast.Name):
        values = (assigned(node.id, block) for block in blocks)
        found = next((value for value in values if value is not None), None)
        return elements(found) if found is not None else []
    return node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else []


def literal(node: ast.expr) -> str | None:
    """The `repr` of an expression's value; None when it is no literal."""
    try:
        return repr(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def parsed(text: str) -> ast.expr | None:
    """The text as an expression; None when it is none."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def checks(statement: ast.stmt) -> bool:
    """Whether a statement belongs to the testing, not to what is tested."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Assert):
            return True
        name = last_name(node.func) if isinstance(node, ast.Call) else ""
        if name.startswith("assert") or name in {"raises", "warns", "deprecated_call", "print"}:
            return True
    return False


def leaves(statement: ast.AST) -> bool:
    """Whether a statement may end or hand out of the function that it stands in."""
    if isinstance(statement, _LEAVES):
        return True
    if isinstance(statement, FUNCTIONS) and any(map(_reaches_out, ast.walk(statement))):
        return True
    if isinstance(statement, FUNCTIONS | ast.ClassDef | ast.Lambda | ast.For | ast.While):
        return any(isinstance(n, ast.Return | ast.Yield) for n in _own(statement))
    return any(leaves(child) for child in ast.iter_child_nodes(statement))


def _reaches_out(node: ast.AST) -> bool:
    return isinstance(node, ast.Nonlocal)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, FUNCTIONS | ast.ClassDef | ast.Lambda):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _own(child)
