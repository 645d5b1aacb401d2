"""Families `wrong-variable`, `wrong-attribute` and `arguments-swapped`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import libcst as cst

from agent.tasks.mutate.context import Context, Proposal, propose
from agent.tasks.mutate.model import Edit
from agent.tasks.mutate.scopes import SELF
from agent.tasks.mutate.source import Source

_AT_MOST = 2
_PAIRS = (
    ("lower", "upper"),
    ("startswith", "endswith"),
    ("append", "extend"),
    ("keys", "values"),
    ("items", "keys"),
    ("lstrip", "rstrip"),
    ("find", "rfind"),
    ("index", "rindex"),
    ("split", "rsplit"),
    ("partition", "rpartition"),
    ("ljust", "rjust"),
    ("popleft", "pop"),
    ("appendleft", "append"),
    ("union", "intersection"),
    ("issubset", "issuperset"),
    ("add", "discard"),
    ("isdigit", "isalpha"),
    ("islower", "isupper"),
    ("title", "capitalize"),
    ("match", "search"),
    ("read", "readline"),
    ("encode", "decode"),
    ("min", "max"),
    ("floor", "ceil"),
)
_PARTNERS: dict[str, str] = {
    "strip": "lstrip",
    "items": "keys",
    **{new: old for old, new in reversed(_PAIRS)},
    **dict(reversed(_PAIRS)),
}


def variable(node: cst.Name, context: Context) -> Iterator[Proposal]:
    """Another variable that the same function has bound before: the neighbours in that order."""
    function, source = context.function, context.source
    if function is None or context.store or node.value in SELF or not function.binds(node.value):
        return
    place = source.span(node)
    names = function.bound_before(place[0])
    if node.value not in names:
        return
    at = names.index(node.value)
    near = (*names[max(0, at - 1) : at], *names[at + 1 : at + 2])
    for name in near:
        yield propose("wrong-variable", source.replace(place, name))


def attribute(node: cst.Attribute, context: Context, *, called: bool) -> Iterator[Proposal]:
    """Another attribute of the receiver: its usual partner, then others in use."""
    source, name = context.source, node.attr.value
    beside = context.attributes.beside(
        context.user(node.value), source.text(node.value), name, called=called
    )
    partner = [_PARTNERS[name]] if called and name in _PARTNERS else []
    for new in list(dict.fromkeys((*partner, *beside)))[:_AT_MOST]:
        if not (new.startswith("__") and new.endswith("__")):
            yield propose("wrong-attribute", source.replace(source.span(node.attr), new))


def arguments(node: cst.Call, context: Context) -> Iterator[Proposal]:
    """Two neighbours among the positional arguments swapped; a keyword argument dropped."""
    source = context.source
    for first, second in pairwise(node.args):
        if not (first.keyword or first.star or second.keyword or second.star):
            yield propose(
                "arguments-swapped",
                source.replace(source.span(first), source.slice(source.span(second))),
                source.replace(source.span(second), source.slice(source.span(first))),
            )
    for number, argument in enumerate(node.args):
        if argument.keyword or argument.star == "**":
            edit = without(source, node.args, number)
            if edit is not None:
                yield propose("arguments-swapped", edit)


def without(source: Source, arguments: Sequence[cst.Arg], number: int) -> Edit | None:
    """The edit that drops an argument with one comma; None if that loses a comment."""
    start, end = source.span(arguments[number])
    if number:
        start = source.span(arguments[number - 1])[1]
    elif len(arguments) > 1:
        end = source.span(arguments[1])[0]
    elif isinstance(arguments[0].comma, cst.Comma):
        end = source.span(arguments[0].comma)[1]
    return None if b"#" in source.data[start:end] else Edit(start, end, "")
