"""A test function with other inputs: one row, one turn of a loop, literals changed."""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from agent.tasks.heldout.checks import (
    Equal,
    Raises,
    Truth,
    checks_in,
    expected_names,
    is_literal,
)
from agent.tasks.heldout.perturb import changed, is_site
from agent.tasks.heldout.reach import reached
from agent.tasks.heldout.reduce import is_parametrize, reduce, row_id, rows_of
from agent.verify.held_out import MARK

TRIES = 10
_HARMLESS = {"usefixtures", "filterwarnings"}
_NOT_INPUT = {"isinstance", "issubclass", "hasattr", "getattr", "setattr", "skip", "print"}


@dataclass(frozen=True)
class Variant:
    """A test with other inputs; what it checks is still that of the original.

    `reached` are the numbers of the checks that depend on what was changed.
    """

    owner: str
    function: ast.FunctionDef
    reached: frozenset[int]

    @property
    def name(self) -> str:
        """The qualified name."""
        return f"{self.owner}.{self.function.name}" if self.owner else self.function.name


def variants(
    owner: str,
    function: ast.FunctionDef,
    failing: Collection[str],
    constants: Mapping[str, ast.expr],
    random: Random,
) -> list[Variant]:
    """Tests like this one with other inputs, different from it and from each other.

    `failing` are the parameters in brackets of the ids that fail, `constants` the literals of the
    module by name.
    """
    rows = rows_of(function, constants)
    if rows is None or not _is_plain(function):
        return []
    wanted = [row for row in rows if row_id(row) in failing] or rows
    found: dict[str, Variant] = {}
    for _ in range(TRIES):
        new = copy.deepcopy(function)
        reduce(new, copy.deepcopy(random.choice(wanted)), constants, random)
        checks = _perturb(new, random)
        text = ast.unparse(ast.fix_missing_locations(new))
        if checks and text not in found:
            (parsed,) = ast.parse(text).body
            assert isinstance(parsed, ast.FunctionDef)
            parsed.name = f"{function.name}{MARK}{len(found)}"
            found[text] = Variant(owner, parsed, checks)
    return list(found.values())


def _is_plain(function: ast.FunctionDef) -> bool:
    """Whether nothing about a test is out of the ordinary."""
    others = [d for d in function.decorator_list if not is_parametrize(d)]
    names = {ast.unparse(d).removeprefix("pytest.").partition("(")[0] for d in others}
    if names - {f"mark.{name}" for name in _HARMLESS}:
        return False
    given = function.args
    if given.vararg or given.kwarg or given.defaults or given.kw_defaults:
        return False
    return not any(isinstance(n, ast.Yield | ast.YieldFrom | ast.Await) for n in ast.walk(function))


def _perturb(function: ast.FunctionDef, random: Random) -> frozenset[int]:
    """Change one input or more; returns the checks that depend on what was changed."""
    sites = list(_sites(function.body, expected_names(function.body)))
    if not sites:
        return frozenset()
    count = min(len(sites), random.choice([1, 2, 3, len(sites)]))
    new: dict[int, ast.expr] = {}
    for site in random.sample(sites, count):
        if id(site) not in new:
            other = changed(site, random)
            new |= {id(same): other for same in _same(site, function)}
    put = _Put(new)
    function.body = [put.visit(statement) for statement in function.body]
    return reached(function.body, list(new.values()))


def _same(site: ast.expr, function: ast.FunctionDef) -> list[ast.expr]:
    """A site, and where it is a telling constant all others of its value: they mean the same."""
    if not isinstance(site, ast.Constant) or not _is_telling(site.value):
        return [site]
    return [
        node
        for node in _constants(function)
        if type(node.value) is type(site.value) and node.value == site.value
    ]


def _is_telling(value: object) -> bool:
    if isinstance(value, str | bytes):
        return len(value) > 1
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) > 2


def _constants(node: ast.AST) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Constant):
        yield node
    elif not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from _constants(child)


class _Put(ast.NodeTransformer):
    def __init__(self, new: Mapping[int, ast.expr]) -> None:
        self.new = new

    def visit(self, node: ast.AST) -> Any:
        return self.new.get(id(node)) or super().visit(node)


def _sites(body: Sequence[ast.stmt], expected: Collection[str]) -> Iterator[ast.expr]:
    """The literals that are inputs: not what is expected, no subscript, no part of a message."""
    skipped: set[int] = set()
    for statement, check in checks_in(body):
        sides: list[ast.expr] = []
        match check:
            case Equal(left, right):
                sides = [left, right]
            case Truth(ast.Compare(left, _, others)):
                sides = [left, *others]
            case Raises(manager):
                skipped.add(id(manager))
        skipped |= {id(side) for side in sides if is_literal(side)}
        if isinstance(statement, ast.Assert) and statement.msg is not None:
            skipped.add(id(statement.msg))
    for statement in body:
        yield from _inputs(statement, skipped, expected)


def _inputs(
    node: ast.AST, skipped: Collection[int], expected: Collection[str]
) -> Iterator[ast.expr]:
    if id(node) in skipped or isinstance(
        node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    ):
        return
    if isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id in expected for target in node.targets
    ):
        return
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Name) and called.id in _NOT_INPUT:
        return
    if isinstance(node, ast.expr) and is_site(node):
        yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.Subscript) and child is node.slice):
            yield from _inputs(child, skipped, expected)
