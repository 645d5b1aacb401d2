"""Family `class-edit`."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from agent.tasks.mutate.context import Context, Proposal, propose
from agent.tasks.mutate.frozen import is_frozen
from agent.tasks.mutate.model import Edit
from agent.tasks.mutate.names import without
from agent.tasks.mutate.source import Source

_SHORT_LINES = 15
_TYPING_ONLY = frozenset(("override", "final", "runtime_checkable", "type_check_only"))


def bases(node: cst.ClassDef, context: Context) -> Iterator[Proposal]:
    """A base class dropped."""
    source = context.source
    for number in range(len(node.bases)):
        edit: Edit | None
        if len(node.bases) + len(node.keywords) > 1:
            edit = without(source, (*node.bases, *node.keywords), number)
        elif isinstance(node.lpar, cst.LeftParen) and isinstance(node.rpar, cst.RightParen):
            edit = Edit(source.span(node.lpar)[0], source.span(node.rpar)[1], "")
        else:
            edit = None
        if edit is not None:
            yield propose("class-edit", edit)


def decorators(node: cst.FunctionDef | cst.ClassDef, context: Context) -> Iterator[Proposal]:
    """A decorator of a class or method dropped."""
    if isinstance(node, cst.FunctionDef) and context.level != "class":
        return
    for decorator in node.decorators:
        name = context.source.text(decorator.decorator).rpartition(".")[2]
        if name not in _TYPING_ONLY:
            lines = context.source.lines(context.source.span(decorator))
            yield propose("class-edit", Edit(*lines, ""))


def methods(node: cst.ClassDef, context: Context) -> Iterator[Proposal]:
    """A short method removed."""
    source, block = context.source, node.body
    if not isinstance(block, cst.IndentedBlock):
        return
    for statement in block.body:
        if not isinstance(statement, cst.FunctionDef) or is_frozen(statement, context):
            continue
        start, end = source.span(statement)
        if source.line(end) - source.line(start) >= _SHORT_LINES:
            continue
        if len(block.body) == 1:
            yield propose("class-edit", Edit(start, end, "pass"))
        else:
            lines = source.lines((start, end))
            last = statement is block.body[-1]
            yield propose(
                "class-edit", Edit(lines[0], lines[1] if last else _next_text(source, lines[1]), "")
            )


def _next_text(source: Source, offset: int) -> int:
    """Where the first line begins, from this one on, that is not blank."""
    while offset < len(source.data) and not source.data[offset : source.line_end(offset)].strip():
        offset = source.line_end(offset)
    return offset
