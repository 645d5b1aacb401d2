"""What the names of a function are bound to, and which attributes are used on what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from agent.tasks.mutate.source import Source, Span, children

SELF = ("self", "cls")
_OWN_SCOPE = (cst.FunctionDef, cst.ClassDef, cst.Lambda, cst.BaseComp)


@dataclass(frozen=True)
class Definition:
    """A def or class: its extent, its body's extent, and for a def its first line (else 0)."""

    qualname: str
    extent: Span
    body: Span
    first_line: int
    variables: tuple[tuple[str, int], ...] = ()
    methods: tuple[str, ...] = ()

    def bound_before(self, offset: int) -> list[str]:
        """Parameters and local variables bound before an offset, in order, without self."""
        names = (name for name, bound in self.variables if bound <= offset and name not in SELF)
        return list(dict.fromkeys(names))

    def binds(self, name: str) -> bool:
        """Whether the name is a parameter or a local variable."""
        return any(name == bound for bound, _ in self.variables)


def define(source: Source, node: cst.FunctionDef | cst.ClassDef, owner: str) -> Definition:
    """The definition of a node whose qualified name begins with `owner`."""
    extent = source.lines(source.span(node))
    body = source.span(node.body)
    if isinstance(node.body, cst.IndentedBlock):
        body = source.block_lines(node.body)
    qualname = f"{owner}{node.name.value}"
    if isinstance(node, cst.ClassDef):
        return Definition(qualname, extent, body, 0, methods=tuple(_methods(node)))
    first = node.decorators[0].decorator if node.decorators else node
    return Definition(
        qualname, extent, body, source.line(source.span(first)[0]), tuple(_variables(source, node))
    )


def _methods(node: cst.ClassDef) -> Iterator[str]:
    for statement in node.body.body:
        if isinstance(statement, cst.FunctionDef) and not statement.name.value.startswith("__"):
            yield statement.name.value


def _variables(source: Source, node: cst.FunctionDef) -> Iterator[tuple[str, int]]:
    """Names and the offsets from which on they are bound; -1 for parameters."""
    parameters = node.params
    for group in (parameters.posonly_params, parameters.params, parameters.kwonly_params):
        yield from ((parameter.name.value, -1) for parameter in group)
    for star in (parameters.star_arg, parameters.star_kwarg):
        if isinstance(star, cst.Param):
            yield star.name.value, -1
    nodes = list(_own_nodes(node.body))
    elsewhere = {
        item.name.value
        for found in nodes
        if isinstance(found, (cst.Global, cst.Nonlocal))
        for item in found.names
    }
    bound = [pair for found in nodes for pair in _bound(source, found)]
    for name, offset in sorted(bound, key=lambda pair: pair[1]):
        if name not in elsewhere:
            yield name, offset


def _own_nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in children(node):
        if not isinstance(child, _OWN_SCOPE):
            yield from _own_nodes(child)


def _bound(source: Source, node: cst.CSTNode) -> Iterator[tuple[str, int]]:
    targets: Sequence[cst.CSTNode] = ()
    until: cst.CSTNode = node
    match node:
        case cst.Assign():
            targets = [target.target for target in node.targets]
        case cst.AnnAssign(value=cst.CSTNode()) | cst.NamedExpr():
            targets = [node.target]
        case cst.For():
            targets, until = [node.target], node.target
        case cst.WithItem(asname=cst.AsName(name=name)):
            targets = [name]
    for target in targets:
        yield from ((name, source.span(until)[1]) for name in _names(target))


def _names(target: cst.CSTNode) -> Iterator[str]:
    match target:
        case cst.Name():
            yield target.value
        case cst.Tuple() | cst.List():
            for element in target.elements:
                yield from _names(element.value)
        case cst.StarredElement():
            yield from _names(target.value)


class Attributes:
    """Which attributes are used on a receiver: `self` by class, a variable by function."""

    def __init__(self) -> None:
        self._used: defaultdict[tuple[str, str, bool], set[str]] = defaultdict(set)

    def add(self, owner: str, receiver: str, attribute: str, *, called: bool) -> None:
        """Note a use; `called` tells a method from a value."""
        self._used[owner, receiver, called].add(attribute)

    def beside(self, owner: str, receiver: str, attribute: str, *, called: bool) -> list[str]:
        """The other attributes of the receiver, those that follow in alphabetical order first."""
        names = sorted(self._used.get((owner, receiver, called), ()))
        after = [name for name in names if name > attribute]
        return after + [name for name in names if name < attribute]
