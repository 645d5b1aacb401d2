"""Families of whole statements: removed, reordered, loops and returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import libcst as cst

from agent.tasks.mutate.context import Context, Proposal, propose
from agent.tasks.mutate.frozen import is_frozen
from agent.tasks.mutate.model import Edit
from agent.tasks.mutate.source import Source, children

Block = cst.Module | cst.IndentedBlock | cst.SimpleStatementSuite
_REMOVABLE = (cst.Expr, cst.AugAssign, cst.Raise, cst.Continue, cst.Break, cst.Del)
_ASSIGNMENTS = (cst.Assign, cst.AnnAssign)
_MOVABLE = (cst.Expr, cst.AugAssign, cst.Assign)
_LOOP = (cst.For, cst.While)
_SIMPLE = (cst.SimpleStatementLine, cst.SimpleStatementSuite)


def removed(node: cst.CSTNode, block: Block, context: Context) -> Iterator[Proposal]:
    """A simple statement removed; `pass` where the block would be empty."""
    for number, small in enumerate(small_statements(node)):
        if is_frozen(small, context) or _is_stub(small):
            continue
        assigns = isinstance(small, _ASSIGNMENTS) and context.level != "module"
        if assigns or isinstance(small, _REMOVABLE):
            yield propose("statement-removed", erased(context.source, node, number, block))
        elif isinstance(small, cst.Return):
            yield propose("return-removed", erased(context.source, node, number, block))


def returned(node: cst.Return, context: Context) -> Iterator[Proposal]:
    """Nothing returned, or another variable than the expression."""
    source, value = context.source, node.value
    if value is None or context.function is None:
        return
    start = source.span(node)[0]
    yield propose("return-removed", Edit(start, source.outer(value)[1], "return"))
    if isinstance(value, cst.Name):
        return
    names = context.function.bound_before(start)
    for name in dict.fromkeys((*names[-1:], *names[:1])):
        yield propose("return-removed", source.replace(source.outer(value), name))


def reordered(statements: Sequence[cst.CSTNode], context: Context) -> Iterator[Proposal]:
    """Two neighbouring statements swapped where one may depend on the other."""
    source = context.source
    for first, second in pairwise(statements):
        one, two = _movable(first, context), _movable(second, context)
        if one is not None and two is not None and _may_depend(one, two, context):
            spans = source.span(one), source.span(two)
            yield propose(
                "statements-reordered",
                Edit(*spans[0], source.slice(spans[1])),
                Edit(*spans[1], source.slice(spans[0])),
            )


def loop(node: cst.For | cst.While, block: Block, context: Context) -> Iterator[Proposal]:
    """The loop dropped, or left after one round; a `while` made an `if`."""
    source = context.source
    yield propose("loop-removed", erased(source, node, 0, block))
    if node.orelse is not None or not isinstance(node.body, cst.IndentedBlock):
        return
    if isinstance(node, cst.While) and not _jumps(node.body):
        start = source.span(node)[0]
        yield propose("loop-removed", Edit(start, start + len("while"), "if"))
        return
    last = source.span(node.body.body[0])[0]
    indent = source.slice((source.line_start(last), last))
    lines = source.block_lines(node.body)
    end = lines[0] + len(source.data[slice(*lines)].rstrip(b"\r\n"))
    text = f"{source.module.default_newline}{indent}break"
    yield propose("loop-removed", Edit(end, end, text))


def erased(source: Source, node: cst.CSTNode, number: int, block: Block) -> Edit:
    """The edit that removes a statement; `number` counts those that share a line."""
    small = small_statements(node)
    if len(small) > 1:
        spans = [source.span(item) for item in small]
        if number + 1 < len(small):
            return Edit(spans[number][0], spans[number + 1][0], "")
        return Edit(spans[number - 1][1], spans[number][1], "")
    start, end = source.span(node)
    if len(block.body) == 1:
        return Edit(start, end, "pass")
    lines = source.lines((start, end))
    rest = source.slice((end, lines[1]))
    if rest.strip().startswith("#"):
        return Edit(start, end + len(rest) - len(rest.lstrip()), "")
    return Edit(*lines, "")


def small_statements(node: cst.CSTNode) -> Sequence[cst.BaseSmallStatement]:
    """The statements of a line, none for a compound statement."""
    return node.body if isinstance(node, _SIMPLE) else ()


def _is_stub(small: cst.BaseSmallStatement) -> bool:
    match small:
        case cst.Raise(exc=cst.Name(value="NotImplementedError")):
            return True
        case cst.Raise(exc=cst.Call(func=cst.Name(value="NotImplementedError"))):
            return True
        case cst.AnnAssign(value=None):
            return True
    return False


def _jumps(node: cst.CSTNode) -> bool:
    """Whether a `break` or `continue` of this loop is in its body."""
    return any(
        isinstance(child, (cst.Break, cst.Continue))
        or (not isinstance(child, (*_LOOP, cst.FunctionDef, cst.ClassDef)) and _jumps(child))
        for child in children(node)
    )


def _movable(node: cst.CSTNode, context: Context) -> cst.BaseSmallStatement | None:
    small = small_statements(node)
    if len(small) == 1 and isinstance(small[0], _MOVABLE) and not is_frozen(small[0], context):
        return small[0]
    return None


def _may_depend(one: cst.CSTNode, two: cst.CSTNode, context: Context) -> bool:
    first, second = _used(one, context), _used(two, context)
    if _touch(first[1], second[0] | second[1]) or _touch(second[1], first[0]):
        return True
    both_call = isinstance(one, cst.Expr) and isinstance(two, cst.Expr)
    return both_call and bool(first[0] & second[0])


def _touch(some: set[str], others: set[str]) -> bool:
    """Whether two dotted names are one, or one is an attribute of the other."""
    return any(
        f"{b}.".startswith(f"{a}.") or f"{a}.".startswith(f"{b}.") for a in some for b in others
    )


def _used(node: cst.CSTNode, context: Context) -> tuple[set[str], set[str]]:
    """Dotted names read and written; a method called as a statement may change its owner."""
    match node:
        case cst.Name() | cst.Attribute() if name := _dotted(node):
            return (set(), {name}) if context.store else ({name}, set())
        case cst.Subscript() if context.store and (name := _dotted(node.value)):
            return _used(node.slice[0], context.within(node, node.slice[0]))[0], {name}
        case cst.Expr(value=cst.Call(func=cst.Attribute(value=owner)) as call):
            return _used(call, context)[0], {_dotted(owner)} - {""}
        case cst.Call(func=cst.Attribute(value=owner)):
            parts: list[cst.CSTNode] = [owner, *node.args]
        case _:
            parts = list(children(node))
    used = [_used(part, context.within(node, part)) for part in parts]
    return {name for reads, _ in used for name in reads}, {name for _, ws in used for name in ws}


def _dotted(node: cst.CSTNode) -> str:
    """`a.b.c`, or nothing for what is no such name."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            owner = _dotted(value)
            return f"{owner}.{name}" if owner else ""
    return ""
