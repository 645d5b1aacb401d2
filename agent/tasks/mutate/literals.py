"""Families `constant` and `off-by-one`."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from agent.tasks.mutate.context import COUNTING, Context, Proposal, propose

_SHORT = 20
_SEPARATORS = {
    ",": ";",
    ";": ",",
    ":": ";",
    ".": ",",
    " ": "",
    "-": "_",
    "_": "-",
    "/": ".",
    "|": ",",
    "=": ":",
    ", ": ",",
    ": ": ":",
    "\\n": " ",
    "\\t": " ",
}
_POSITIONS = frozenset(
    ("end", "i", "idx", "index", "j", "k", "m", "n", "offset", "pos", "position", "start", "stop")
)
_PLAIN = (cst.Name, cst.Attribute, cst.Call, cst.Subscript)


def integer(node: cst.Integer, context: Context) -> Iterator[Proposal]:
    """0, 1, -1, the double; one more and one less where the number counts."""
    yield from _integer(node, node.evaluated_value, node.value, context)


def signed(node: cst.UnaryOperation, context: Context) -> Iterator[Proposal]:
    """The same for a negative number."""
    if not isinstance(node.operator, cst.Minus):
        return
    if isinstance(node.expression, cst.Integer):
        literal = node.expression
        yield from _integer(node, -literal.evaluated_value, literal.value, context)
    elif isinstance(node.expression, cst.Float):
        yield from _float(node, -node.expression.evaluated_value, context)


def floating(node: cst.Float, context: Context) -> Iterator[Proposal]:
    """0.0, 1.0, the double."""
    yield from _float(node, node.evaluated_value, context)


def truth(node: cst.Name, context: Context) -> Iterator[Proposal]:
    """True for False, and False for True."""
    if node.value in ("True", "False"):
        new = "False" if node.value == "True" else "True"
        yield propose("constant", context.source.replace(context.source.span(node), new))


def string(node: cst.SimpleString, context: Context) -> Iterator[Proposal]:
    """A short string emptied; a separator exchanged."""
    body, quote, source = node.raw_value, node.quote, context.source
    if not body or len(body) > _SHORT:
        return
    for new in (_SEPARATORS.get(body), ""):
        if new is not None:
            edit = source.replace(source.span(node), f"{node.prefix}{quote}{new}{quote}")
            yield propose("constant", edit)


def slice_bounds(node: cst.Slice, context: Context) -> Iterator[Proposal]:
    """A bound of a slice that is no literal, one more and one less."""
    for bound in (node.lower, node.upper):
        if bound is not None:
            yield from _shifted(bound, context)


def index(node: cst.Index, context: Context) -> Iterator[Proposal]:
    """`x[i]` for `x[i + 1]` where the name says that it is a position."""
    if isinstance(node.value, cst.Name) and node.value.value in _POSITIONS:
        yield from _shifted(node.value, context)


def counted(node: cst.Call, context: Context) -> Iterator[Proposal]:
    """`range(n)` for `range(n - 1)`; not the iterable of `enumerate` and the like."""
    match node.func:
        case cst.Name(value="range"):
            arguments = node.args
        case cst.Name(value=name) if name in COUNTING:
            arguments = node.args[1:]
        case _:
            return
    for argument in arguments:
        if not argument.star:
            yield from _shifted(argument.value, context)


def _integer(
    node: cst.BaseExpression, value: int, literal: str, context: Context
) -> Iterator[Proposal]:
    source = context.source
    shown = hex if literal.lower().startswith("0x") else str
    if context.index:
        for new in (value + 1, value - 1):
            yield propose("off-by-one", source.replace(source.span(node), shown(new)))
    for new in dict.fromkeys((0, 1, -1, 2 * value)):
        if new != value:
            yield propose("constant", source.replace(source.span(node), shown(new)))


def _float(node: cst.BaseExpression, value: float, context: Context) -> Iterator[Proposal]:
    source = context.source
    for new in dict.fromkeys((0.0, 1.0, 2 * value)):
        if new != value and abs(new) != float("inf"):
            yield propose("constant", source.replace(source.span(node), repr(new)))


def _shifted(node: cst.BaseExpression, context: Context) -> Iterator[Proposal]:
    """An expression one more and one less; literals and sums with one have their own."""
    source = context.source
    if isinstance(node, (cst.Integer, cst.UnaryOperation)) or _ends_in_literal(node):
        return
    text = source.text(node)
    if not isinstance(node, _PLAIN) and not node.lpar:
        text = f"({text})"
    for change in ("+ 1", "- 1"):
        edit = source.replace(source.outer(node), f"{text} {change}")
        yield propose("off-by-one", edit)


def _ends_in_literal(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.BinaryOperation) and isinstance(node.right, cst.Integer)
