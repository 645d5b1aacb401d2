"""What a generator of mutations is given about the place of a node, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import libcst as cst

from agent.tasks.mutate.model import Edit
from agent.tasks.mutate.scopes import SELF, Attributes, Definition
from agent.tasks.mutate.source import Source

COUNTING = frozenset(("range", "islice", "enumerate", "randrange", "arange", "nsmallest"))
TEXT = (cst.SimpleString, cst.FormattedString, cst.ConcatenatedString)
_KEEP_INDEX = (cst.BinaryOperation, cst.UnaryOperation, cst.Arg, cst.ComparisonTarget)


@dataclass(frozen=True)
class Proposal:
    """A mutation that has not been compiled yet; offsets are those of `Source.data`."""

    family: str
    edits: tuple[Edit, ...]


def propose(family: str, *edits: Edit) -> Proposal:
    """A proposal of these edits."""
    return Proposal(family, edits)


@dataclass(frozen=True)
class Context:
    """Where a node is.

    `function` is the innermost function and `owner` the innermost class around it. `store` holds
    within an assignment target, `index` where an integer counts elements, `message` in a `raise`.
    """

    source: Source
    attributes: Attributes
    function: Definition | None = None
    owner: Definition | None = None
    level: Literal["module", "class", "function"] = "module"
    store: bool = False
    index: bool = False
    message: bool = False

    def within(self, node: cst.CSTNode, child: cst.CSTNode) -> Context:
        """The context of a child that is an expression or statement of the same scope."""
        store = _stores(node, child) or (
            self.store and isinstance(node, (cst.Tuple, cst.List, cst.BaseElement))
        )
        index = _counts(node, child) or (
            self.index
            and isinstance(
                node, (cst.BinaryOperation, cst.UnaryOperation, cst.Arg, cst.ComparisonTarget)
            )
        )
        message = self.message or isinstance(node, cst.Raise)
        if (store, index, message) == (self.store, self.index, self.message):
            return self
        return replace(self, store=store, index=index, message=message)

    def user(self, receiver: cst.BaseExpression) -> str:
        """Under which name the attributes of a receiver are kept."""
        root: cst.BaseExpression = receiver
        while isinstance(root, (cst.Attribute, cst.Subscript, cst.Call)):
            root = root.func if isinstance(root, cst.Call) else root.value
        if not isinstance(root, cst.Name):
            return ""
        if root.value in SELF and self.owner:
            return self.owner.qualname
        if self.function and self.function.binds(root.value):
            return self.function.qualname
        return ""


def _stores(node: cst.CSTNode, child: cst.CSTNode) -> bool:
    match node:
        case cst.AssignTarget() | cst.Del():
            return True
        case cst.For() | cst.CompFor() | cst.NamedExpr() | cst.AugAssign() | cst.AnnAssign():
            return child is node.target
    return False


def _counts(node: cst.CSTNode, child: cst.CSTNode) -> bool:
    match node:
        case cst.Slice() | cst.Index():
            return True
        case cst.Call(func=cst.Name(value=name)):
            return name in COUNTING and isinstance(child, cst.Arg)
        case cst.Comparison():
            return any(is_len(side) for side in sides(node))
    return False


def sides(node: cst.Comparison) -> list[cst.BaseExpression]:
    """The operands of a comparison."""
    return [node.left, *(target.comparator for target in node.comparisons)]


def is_len(node: cst.CSTNode) -> bool:
    """Whether the expression is a call of `len`."""
    return isinstance(node, cst.Call) and callee(node) == "len"


def callee(node: cst.Call) -> str:
    """The last name of what is called: `b` of `a.b()`."""
    match node.func:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return name
    return ""
