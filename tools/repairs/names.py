"""Edits of names: another variable, attribute, function or error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tools.repairs.edit import Change, Scope
from tools.repairs.vocabulary import confused

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_NAMES = 8
MAX_FUNCTIONS = 6


def variables(scope: Scope, node: Node) -> Iterator[Change]:
    """Another variable in the place of one, or an attribute of the object by its name."""
    if node.type not in scope.words.identifiers or not _is_value(scope, node):
        return
    text = scope.text(node)
    if text in scope.words.keywords or text == scope.words.receiver:
        return
    yield from (scope.put(node, n) for n in _others(scope.names, text, MAX_NAMES))
    receiver = scope.words.receiver
    if text in scope.attributes.get(receiver, ()):
        yield scope.put(node, f"{receiver}.{text}")


def attributes(scope: Scope, node: Node) -> Iterator[Change]:
    """Another attribute of the same object, or a variable of the attribute's name."""
    if node.type != scope.words.attribute or len(node.named_children) < 2:
        return
    receiver, name = node.named_children[0], node.named_children[-1]
    held, text = scope.text(receiver), scope.text(name)
    for other in confused(text):
        yield scope.put(name, other)
    for other in _others(scope.attributes.get(held, []), text, MAX_NAMES):
        yield scope.put(name, other)
    if text in scope.names:
        yield scope.put(node, text)


def functions(scope: Scope, node: Node) -> Iterator[Change]:
    """Another function to call."""
    if node.type not in scope.words.calls:
        return
    function = node.child_by_field_name("function")
    if function is None or function.type not in scope.words.identifiers:
        return
    text = scope.text(function)
    for other in confused(text):
        yield scope.put(function, other)
    for other in _others([*scope.functions, *scope.errors], text, MAX_FUNCTIONS):
        if (other in scope.errors) == (text in scope.errors):
            yield scope.put(function, other)


def errors(scope: Scope, node: Node) -> Iterator[Change]:
    """Another error to catch."""
    if node.type not in ("except_clause", "except_group_clause"):
        return
    for child in node.named_children[:1]:
        if child.type in scope.words.identifiers:
            others = [*scope.errors, "Exception", "ValueError", "TypeError", "KeyError"]
            for other in _others(others, scope.text(child), MAX_NAMES):
                yield scope.put(child, other)


def _others(names: list[str], text: str, limit: int) -> list[str]:
    return [name for name in dict.fromkeys(names) if name != text][:limit]


def _is_value(scope: Scope, node: Node) -> bool:
    """Whether a name stands for a value that is read."""
    parent = node.parent
    if parent is None:
        return False
    words = scope.words
    if parent.type in words.parameters or parent.type.endswith("_definition"):
        return False
    if parent.type == words.attribute and parent.named_children[0].id != node.id:
        return False
    if words.keyword and parent.type == words.keyword:
        named = parent.child_by_field_name("name")
        return named is None or named.id != node.id
    if parent.type in words.calls:
        function = parent.child_by_field_name("function")
        return function is None or function.id != node.id
    return True
