"""Families `condition-inverted` and `condition-removed`, for whole conditions."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from agent.tasks.mutate.context import Context, Proposal, propose
from agent.tasks.mutate.model import Edit
from agent.tasks.mutate.operators import INVERSE
from agent.tasks.mutate.source import Source

Test = cst.If | cst.While | cst.IfExp | cst.CompIf


def inverted(node: Test, context: Context) -> Iterator[Proposal]:
    """The test negated; for a plain `if` with `else`, the two bodies swapped instead."""
    swapped = _swapped_bodies(node, context.source) if isinstance(node, cst.If) else ()
    yield propose("condition-inverted", *(swapped or (_negated(node.test, context.source),)))


def without_alternative(node: cst.If, context: Context) -> Iterator[Proposal]:
    """Its `else` or its `elif` dropped."""
    source, other = context.source, node.orelse
    if other is None or not isinstance(other.body, cst.IndentedBlock):
        return
    start, end = source.line_start(source.span(other)[0]), source.block_lines(other.body)[1]
    yield propose("condition-removed", Edit(start, end, ""))


def unwrapped(node: cst.If, context: Context) -> Iterator[Proposal]:
    """The body without its `if`."""
    if node.orelse is None:
        edit = _dedented(node, context.source)
        if edit is not None:
            yield propose("condition-removed", edit)


def _negated(test: cst.BaseExpression, source: Source) -> Edit:
    match test:
        case cst.UnaryOperation(operator=cst.Not()):
            return source.replace(source.outer(test), source.text(test.expression))
        case cst.Comparison(comparisons=[cst.ComparisonTarget(operator=operator)]):
            return source.replace(source.span(operator), INVERSE[type(operator)])
    text = source.text(test)
    plain = test.lpar or isinstance(test, (cst.Name, cst.Attribute, cst.Call, cst.Subscript))
    return source.replace(source.outer(test), f"not {text}" if plain else f"not ({text})")


def _swapped_bodies(node: cst.If, source: Source) -> tuple[Edit, ...]:
    other = node.orelse
    if not isinstance(other, cst.Else):
        return ()
    if not isinstance(node.body, cst.IndentedBlock) or not isinstance(
        other.body, cst.IndentedBlock
    ):
        return ()
    first, second = (
        (source.line_start(source.span(block.body[0])[0]), source.span(block)[1])
        for block in (node.body, other.body)
    )
    if _indent(node.body, source) != _indent(other.body, source):
        return ()
    return (
        Edit(*first, source.slice(second)),
        Edit(*second, source.slice(first)),
    )


def _indent(block: cst.IndentedBlock, source: Source) -> str:
    start = source.span(block.body[0])[0]
    return source.slice((source.line_start(start), start))


def _dedented(node: cst.If, source: Source) -> Edit | None:
    """The statement replaced by its body; lines within strings stay. None if a comment is lost."""
    start, end = source.span(node)
    first = source.span(node.body.body[0])[0]
    if b"#" in source.data[start:first]:
        return None
    if not isinstance(node.body, cst.IndentedBlock):
        return Edit(start, first, "")
    base = start - source.line_start(start)
    indent = _indent(node.body, source)
    parts: list[str] = []
    done = first
    for line in source.starts_between((first, end)):
        if line in source.within_strings or not source.data.startswith(indent.encode(), line):
            continue
        parts.append(source.slice((done, line + base)))
        done = line + len(indent.encode())
    return Edit(start, end, "".join((*parts, source.slice((done, end)))))
