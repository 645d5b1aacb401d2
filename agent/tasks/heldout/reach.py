"""Which checks of a test depend on the inputs that were changed."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from agent.tasks.heldout.checks import check_of, checks_in


def reached(body: Sequence[ast.stmt], inputs: Collection[ast.expr]) -> frozenset[int]:
    """The numbers of the checks that these expressions of a test can reach.

    They flow through variables, and into what a method is called on.
    """
    flow = _Flow({id(node) for node in inputs})
    for _ in range(2):
        for statement in _statements(body):
            flow.take(statement)
    checks = enumerate(checks_in(body))
    return frozenset(number for number, (node, _) in checks if flow.touches(node))


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for top in body:
        yield from (node for node in ast.walk(top) if isinstance(node, ast.stmt))


class _Flow:
    def __init__(self, changed: set[int]) -> None:
        self.changed = changed
        self.names: set[str] = set()

    def touches(self, node: ast.AST) -> bool:
        """Whether a changed expression, or a variable that one flows into, is in a part."""
        return any(
            id(n) in self.changed or (isinstance(n, ast.Name) and n.id in self.names)
            for n in ast.walk(node)
        )

    def take(self, statement: ast.stmt) -> None:
        """Note the variables that a statement changes, where one of its parts was changed."""
        if isinstance(statement, ast.For):
            if self.touches(statement.iter):
                self.names |= set(_roots(statement.target))
        elif isinstance(statement, ast.With):
            for item in statement.items:
                if item.optional_vars is not None and self.touches(item.context_expr):
                    self.names |= set(_roots(item.optional_vars))
        elif isinstance(statement, ast.FunctionDef):
            if self.touches(statement):
                self.names.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            if self.touches(statement):
                targets = (
                    statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                )
                self.names |= {root for target in targets for root in _roots(target)}
        elif isinstance(statement, ast.Expr) and check_of(statement) is None:
            call = statement.value
            if isinstance(call, ast.Call) and self.touches(call):
                self.names |= {root for part in [call.func, *call.args] for root in _roots(part)}


def _roots(node: ast.expr) -> Iterator[str]:
    """The variables that something is stored in or called on."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        yield from _roots(node.value)
    elif isinstance(node, ast.Call):
        yield from _roots(node.func)
    elif isinstance(node, ast.Tuple | ast.List):
        for part in node.elts:
            yield from _roots(part)
