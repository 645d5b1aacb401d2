"""Families `operator` and `operands-swapped`."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from agent.tasks.mutate.context import TEXT, Context, Proposal, propose

_BINARY: dict[type[cst.BaseBinaryOp], tuple[str, ...]] = {
    cst.Add: ("-",),
    cst.Subtract: ("+",),
    cst.Multiply: ("+", "//"),
    cst.Divide: ("*", "//"),
    cst.FloorDivide: ("/", "%"),
    cst.Modulo: ("//",),
    cst.Power: ("*",),
    cst.LeftShift: (">>",),
    cst.RightShift: ("<<",),
    cst.BitAnd: ("|",),
    cst.BitOr: ("&",),
    cst.BitXor: ("|",),
}
_AUGMENTED: dict[type[cst.BaseAugOp], tuple[str, ...]] = {
    cst.AddAssign: ("-=", "="),
    cst.SubtractAssign: ("+=", "="),
    cst.MultiplyAssign: ("+=", "="),
    cst.DivideAssign: ("*=", "//="),
    cst.FloorDivideAssign: ("%=", "/="),
    cst.ModuloAssign: ("//=", "="),
    cst.PowerAssign: ("*=",),
    cst.LeftShiftAssign: (">>=",),
    cst.RightShiftAssign: ("<<=",),
    cst.BitAndAssign: ("|=", "="),
    cst.BitOrAssign: ("&=", "="),
    cst.BitXorAssign: ("|=", "="),
}
INVERSE: dict[type[cst.BaseCompOp], str] = {
    cst.LessThan: ">=",
    cst.LessThanEqual: ">",
    cst.GreaterThan: "<=",
    cst.GreaterThanEqual: "<",
    cst.Equal: "!=",
    cst.NotEqual: "==",
    cst.In: "not in",
    cst.NotIn: "in",
    cst.Is: "is not",
    cst.IsNot: "is",
}
_BOUNDARY: dict[type[cst.BaseCompOp], str] = {
    cst.LessThan: "<=",
    cst.LessThanEqual: "<",
    cst.GreaterThan: ">=",
    cst.GreaterThanEqual: ">",
}
_ORDERED: tuple[type[cst.BaseCompOp], ...] = (*_BOUNDARY, cst.In, cst.NotIn)
_COMMUTATIVE = (cst.Multiply, cst.BitAnd, cst.BitOr, cst.BitXor)
_SEQUENCE = (*TEXT, cst.List, cst.Tuple)
_LEVELS: dict[type[cst.BaseBinaryOp], int] = {
    cst.BitOr: 1,
    cst.BitXor: 2,
    cst.BitAnd: 3,
    cst.LeftShift: 4,
    cst.RightShift: 4,
    cst.Add: 5,
    cst.Subtract: 5,
    cst.Power: 8,
}
_PRODUCT_LEVEL, _UNARY_LEVEL, _ATOM_LEVEL = 6, 7, 9


def binary(node: cst.BinaryOperation, context: Context) -> Iterator[Proposal]:
    """Another operator; the operands swapped where their order matters."""
    source, operator = context.source, node.operator
    texts = isinstance(node.left, _SEQUENCE) or isinstance(node.right, _SEQUENCE)
    if not texts:
        for new in _BINARY.get(type(operator), ()):
            yield propose("operator", source.replace(source.span(operator), new))
    formats = isinstance(operator, cst.Modulo) and isinstance(node.left, TEXT)
    if isinstance(operator, _COMMUTATIVE) or formats:
        return
    if texts or not isinstance(operator, cst.Add):
        level = _LEVELS.get(type(operator), _PRODUCT_LEVEL)
        yield _swapped(context, node.left, node.right, level)


def comparison(node: cst.Comparison, context: Context) -> Iterator[Proposal]:
    """The boundary moved, the test inverted, the sides swapped."""
    source = context.source
    for target in node.comparisons:
        kind = type(target.operator)
        for table in (_BOUNDARY, INVERSE):
            if kind in table:
                edit = source.replace(source.span(target.operator), table[kind])
                yield propose("operator", edit)
    if len(node.comparisons) == 1 and isinstance(node.comparisons[0].operator, _ORDERED):
        yield _swapped(context, node.left, node.comparisons[0].comparator, 0)


def boolean(node: cst.BooleanOperation, context: Context) -> Iterator[Proposal]:
    """`and` for `or`; one operand dropped."""
    source, operator = context.source, node.operator
    new = "or" if isinstance(operator, cst.And) else "and"
    yield propose("operator", source.replace(source.span(operator), new))
    for operand in (node.left, node.right):
        edit = source.replace(source.span(node), source.text(operand))
        yield propose("condition-removed", edit)


def unary(node: cst.UnaryOperation, context: Context) -> Iterator[Proposal]:
    """`-x`, `not x` and `~x` without their sign; numbers have mutations of their own."""
    signed = isinstance(node.expression, (cst.Integer, cst.Float))
    if not signed and not isinstance(node.operator, cst.Plus):
        source = context.source
        edit = source.replace(source.span(node), source.text(node.expression))
        yield propose("operator", edit)


def augmented(node: cst.AugAssign, context: Context) -> Iterator[Proposal]:
    """Another operator, or a plain assignment."""
    source = context.source
    for new in _AUGMENTED.get(type(node.operator), ()):
        if new == "=" or not isinstance(node.value, _SEQUENCE):
            yield propose("operator", source.replace(source.span(node.operator), new))


def _swapped(
    context: Context, left: cst.BaseExpression, right: cst.BaseExpression, level: int
) -> Proposal:
    source = context.source
    return propose(
        "operands-swapped",
        source.replace(source.outer(left), _operand(context, right, level)),
        source.replace(source.outer(right), _operand(context, left, level)),
    )


def _operand(context: Context, node: cst.BaseExpression, level: int) -> str:
    """The text of an operand, in parentheses where the operator at `level` binds more tightly."""
    text = context.source.text(node)
    return f"({text})" if not node.lpar and _level(node) <= level else text


def _level(node: cst.BaseExpression) -> int:
    if isinstance(node, cst.BinaryOperation):
        return _LEVELS.get(type(node.operator), _PRODUCT_LEVEL)
    return _UNARY_LEVEL if isinstance(node, cst.UnaryOperation) else _ATOM_LEVEL
