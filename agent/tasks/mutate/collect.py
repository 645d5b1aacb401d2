"""Walking over a source and keeping the mutations that are different programs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import replace

import libcst as cst

from agent.tasks.mutate import branches, classes, literals, names, operators, statements
from agent.tasks.mutate.context import Context, Proposal
from agent.tasks.mutate.frozen import is_frozen
from agent.tasks.mutate.model import FAMILIES, Edit, Mutation, applied
from agent.tasks.mutate.scopes import Attributes, Definition, define
from agent.tasks.mutate.source import Source, children
from agent.tasks.mutate.units import Compiler

# Of two mutations that are one program the more telling name is kept; any number is a constant.
_PRECEDENCE = sorted(FAMILIES, key="constant".__eq__)
Change = tuple[tuple[Edit, ...], str]


def collect(path: str, data: bytes) -> list[Mutation]:
    """All mutations of a source, see `agent.tasks.mutate.mutations`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source = Source(data)
            walk = _Walk(source)
            proposals = [(tuple(sorted(p.edits)), p.family) for p in walk.proposals()]
            kept = _different(source, Compiler(source), proposals)
        except (cst.ParserSyntaxError, SyntaxError, ValueError, RecursionError):
            return []
    return [
        _mutation(path, source, walk.definitions, family, edits) for edits, family in sorted(kept)
    ]


def _different(source: Source, compiler: Compiler, proposals: list[Change]) -> list[Change]:
    """The proposals that compile and are programs of their own."""
    kept: list[Change] = []
    seen: set[tuple[int, int, bytes] | bytes] = set()
    for edits, family in sorted(proposals, key=lambda p: (_PRECEDENCE.index(p[1]), p[0])):
        key = compiler.changed(edits)
        text = hashlib.sha256(applied(source.data, edits)).digest()
        if key is not None and key not in seen and text not in seen:
            seen |= {key, text}
            kept.append((edits, family))
    return kept


def _mutation(
    path: str,
    source: Source,
    definitions: list[Definition],
    family: str,
    edits: tuple[Edit, ...],
) -> Mutation:
    at = edits[0].start
    around = [item for item in definitions if item.extent[0] <= at < item.extent[1]]
    functions = [d for d in around if d.first_line and d.body[0] <= at < d.body[1]]
    shifted = tuple(Edit(e.start + source.shift, e.end + source.shift, e.text) for e in edits)
    return Mutation(
        path=path,
        symbol=around[-1].qualname if around else "",
        line=source.line(at),
        def_line=functions[-1].first_line if functions else 0,
        family=family,
        edits=shifted,
    )


class _Walk:
    """Visits every node that may be mutated, in the order of the source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.definitions: list[Definition] = []
        self._defined: dict[cst.CSTNode, Definition] = {}
        self._top = Context(source, Attributes())
        self._define(source.module, source.module, self._top, "")

    def proposals(self) -> Iterator[Proposal]:
        """Every proposal; some do not compile, some are equal."""
        return self._visit(self.source.module, self.source.module, self._top)

    def _define(self, node: cst.CSTNode, parent: cst.CSTNode, context: Context, owner: str) -> None:
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            definition = define(self.source, node, owner)
            self.definitions.append(definition)
            self._defined[node] = definition
            inner = ".<locals>." if isinstance(node, cst.FunctionDef) else "."
            owner = f"{definition.qualname}{inner}"
            for method in definition.methods:
                for receiver in ("self", "cls"):
                    context.attributes.add(definition.qualname, receiver, method, called=True)
            context = self._inside(node, context)
        elif isinstance(node, cst.Attribute):
            receiver, called = self.source.text(node.value), _is_called(node, parent)
            user = context.user(node.value)
            context.attributes.add(user, receiver, node.attr.value, called=called)
        for child in children(node):
            self._define(child, node, context, owner)

    def _visit(
        self, node: cst.CSTNode, parent: cst.CSTNode, context: Context
    ) -> Iterator[Proposal]:
        if is_frozen(node, context):
            return
        yield from _of_node(node, parent, context)
        if isinstance(node, (cst.Module, cst.IndentedBlock, cst.SimpleStatementSuite)):
            yield from _of_block(node, context)
        for child in children(node):
            inner = context.within(node, child)
            if isinstance(node, (cst.FunctionDef, cst.ClassDef)) and child is node.body:
                inner = self._inside(node, context)
            yield from self._visit(child, node, inner)

    def _inside(self, node: cst.CSTNode, context: Context) -> Context:
        definition = self._defined[node]
        if isinstance(node, cst.ClassDef):
            return replace(context, owner=definition, function=None, level="class")
        return replace(context, function=definition, level="function")


def _of_block(node: statements.Block, context: Context) -> Iterator[Proposal]:
    if isinstance(node, cst.SimpleStatementSuite):
        yield from statements.removed(node, node, context)
        return
    for statement in node.body:
        yield from statements.removed(statement, node, context)
        if isinstance(statement, (cst.For, cst.While)):
            yield from statements.loop(statement, node, context)
        elif isinstance(statement, cst.If) and not is_frozen(statement, context):
            yield from branches.unwrapped(statement, context)
    yield from statements.reordered(node.body, context)


def _of_node(node: cst.CSTNode, parent: cst.CSTNode, context: Context) -> Iterator[Proposal]:
    match node:
        case cst.Name():
            yield from literals.truth(node, context)
            if not _is_called(node, parent):
                yield from names.variable(node, context)
        case cst.Attribute():
            yield from names.attribute(node, context, called=_is_called(node, parent))
        case cst.Call():
            yield from literals.counted(node, context)
            yield from names.arguments(node, context)
        case cst.SimpleString():
            if not isinstance(parent, cst.ConcatenatedString):
                yield from literals.string(node, context)
        case cst.Integer() | cst.Float():
            yield from _of_number(node, parent, context)
        case cst.BinaryOperation():
            yield from operators.binary(node, context)
        case cst.Comparison():
            yield from operators.comparison(node, context)
        case cst.BooleanOperation():
            yield from operators.boolean(node, context)
        case cst.UnaryOperation():
            yield from literals.signed(node, context)
            yield from operators.unary(node, context)
        case cst.AugAssign():
            yield from operators.augmented(node, context)
        case cst.Slice():
            yield from literals.slice_bounds(node, context)
        case cst.Index():
            yield from literals.index(node, context)
        case cst.Return():
            yield from statements.returned(node, context)
        case cst.If():
            yield from branches.inverted(node, context)
            yield from branches.without_alternative(node, context)
        case cst.While() | cst.IfExp() | cst.CompIf():
            yield from branches.inverted(node, context)
        case cst.ClassDef():
            yield from classes.bases(node, context)
            yield from classes.decorators(node, context)
            yield from classes.methods(node, context)
        case cst.FunctionDef():
            yield from classes.decorators(node, context)


def _of_number(
    node: cst.Integer | cst.Float, parent: cst.CSTNode, context: Context
) -> Iterator[Proposal]:
    """A number under a minus sign is mutated with its sign."""
    if isinstance(parent, cst.UnaryOperation) and isinstance(parent.operator, cst.Minus):
        return
    if isinstance(node, cst.Integer):
        yield from literals.integer(node, context)
    else:
        yield from literals.floating(node, context)


def _is_called(node: cst.CSTNode, parent: cst.CSTNode) -> bool:
    return isinstance(parent, cst.Call) and parent.func is node
