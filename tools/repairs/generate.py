"""All small edits of a definition, likely ones first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tools.codemap import Symbol
from tools.languages import language_of, parser
from tools.repairs import expressions, names, statements
from tools.repairs.edit import Change, Edit, Scope, walk
from tools.repairs.vocabulary import VOCABULARIES, Vocabulary

if TYPE_CHECKING:
    from tree_sitter import Node

Rule = Callable[[Scope, "Node"], Iterator[Change]]

RULES: tuple[tuple[Rule, float], ...] = (
    (expressions.operators, 1.0),
    (expressions.negations, 1.0),
    (expressions.literals, 0.8),
    (expressions.swaps, 0.8),
    (names.variables, 0.7),
    (names.attributes, 0.7),
    (names.functions, 0.6),
    (names.errors, 0.5),
    (expressions.reductions, 0.6),
    (statements.jumps, 0.6),
    (expressions.bounds, 0.6),
    (statements.removals, 0.6),
    (statements.moves, 0.6),
    (expressions.assigned, 0.5),
    (expressions.arguments, 0.4),
    (statements.wrapped, 0.4),
    (statements.additions, 0.3),
    (expressions.wraps, 0.3),
    (expressions.guards, 0.2),
    (statements.tests, 0.2),
)
MAX_DEFINITION = 12_000


def edits(symbol: Symbol, source: bytes) -> list[Edit]:
    """The small edits of a definition, each one once. None in a language without a vocabulary.

    Weights order them; what does not parse is not sorted out.
    """
    language = language_of(symbol.path)
    words = VOCABULARIES.get(language.name) if language else None
    if language is None or words is None or symbol.end_byte - symbol.start_byte > MAX_DEFINITION:
        return []
    root = parser(language).parse(source).root_node
    node = root.descendant_for_byte_range(symbol.node_byte, symbol.node_byte + 1)
    while node is not None and node.parent is not None and node.start_byte == symbol.node_byte:
        if node.parent.start_byte != symbol.node_byte or node.parent.id == root.id:
            break
        node = node.parent
    if node is None:
        return []
    scope = _scope(source, root, node, words)
    found: dict[tuple[int, int, str], Edit] = {}
    prose = _docstring(node, words)
    for inner in walk(node):
        if prose is not None and prose.start_byte <= inner.start_byte < prose.end_byte:
            continue
        first, last = _lines(inner, node, words)
        for rule, weight in RULES:
            for change in rule(scope, inner):
                key = (change.start, change.end, change.text)
                if key not in found and source[change.start : change.end] != change.text.encode():
                    found[key] = Edit(
                        symbol.path, *key, symbol.id, rule.__name__, first, last, weight
                    )
    return sorted(found.values(), key=lambda edit: -edit.weight)


def _scope(source: bytes, root: Node, node: Node, words: Vocabulary) -> Scope:
    scope = Scope(source, node, words)
    seen: Counter[str] = Counter()
    for inner in walk(node):
        if inner.type in words.parameters:
            scope.parameters += _identifiers(scope, inner)
    for inner in walk(node):
        if inner.type in words.identifiers and _is_variable(inner, words):
            seen[scope.text(inner)] += 1
    skipped = {words.receiver, *words.keywords}
    called = {scope.text(f) for f in _called(root, words)}
    scope.names = [
        name
        for name in dict.fromkeys([*scope.parameters, *(n for n, _ in seen.most_common())])
        if name not in skipped and (name in scope.parameters or name not in called)
    ]
    scope.local = list(dict.fromkeys([*scope.parameters, *_set(scope, node)]))
    scope.local = [name for name in scope.local if name not in skipped]
    scope.functions = [n for n, _ in Counter(map(scope.text, _called(root, words))).most_common(12)]
    everything = Counter(re.findall(r"\b[A-Z]\w*(?:Error|Exception|Warning)\b", source.decode()))
    scope.errors = [name for name, _ in everything.most_common(8)]
    holder = _class_of(node)
    scope.attributes = _attributes(scope, holder or node)
    for kinds, held in ((words.strings, scope.texts), (words.numbers, scope.numbers)):
        for place in (node, holder or root):
            for inner in walk(place):
                if inner.type in kinds and inner.end_byte - inner.start_byte <= 40:
                    text = scope.text(inner)
                    if text not in held and "\n" not in text:
                        held.append(text)
    return scope


def _set(scope: Scope, node: Node) -> Iterator[str]:
    """The variables that a definition gives values to."""
    for inner in walk(node):
        target = inner.child_by_field_name("left")
        if target is not None and (
            inner.type in scope.words.assignments or inner.type in scope.words.loop
        ):
            for place in [target, *target.named_children]:
                if place.type in scope.words.identifiers:
                    yield scope.text(place)


def _identifiers(scope: Scope, parameters: Node) -> list[str]:
    found = []
    for child in parameters.named_children:
        first = next((n for n in walk(child) if n.type in scope.words.identifiers), None)
        if first is not None:
            found.append(scope.text(first))
    return found


def _is_variable(node: Node, words: Vocabulary) -> bool:
    parent = node.parent
    if parent is None or parent.type.endswith("_definition"):
        return False
    if parent.type == words.attribute:
        return parent.named_children[0].id == node.id
    return parent.type != words.keyword


def _called(root: Node, words: Vocabulary) -> Iterator[Node]:
    for node in walk(root):
        if node.type in words.calls:
            function = node.child_by_field_name("function")
            if function is not None and function.type in words.identifiers:
                yield function


def _class_of(node: Node) -> Node | None:
    above = node.parent
    while above is not None:
        if above.type.startswith("class"):
            return above
        above = above.parent
    return None


def _attributes(scope: Scope, holder: Node) -> dict[str, list[str]]:
    counts: dict[str, Counter[str]] = {}
    for node in walk(holder):
        if node.type == scope.words.attribute and len(node.named_children) >= 2:
            receiver = scope.text(node.named_children[0])
            if len(receiver) <= 40:
                held = counts.setdefault(receiver, Counter())
                held[scope.text(node.named_children[-1])] += 1
    return {receiver: [n for n, _ in held.most_common(10)] for receiver, held in counts.items()}


def _docstring(node: Node, words: Vocabulary) -> Node | None:
    body = node.child_by_field_name("body")
    first = body.named_children[0] if body is not None and body.named_children else None
    if first is None or not words.indented or first.type != "expression_statement":
        return None
    inner = first.named_children
    return first if inner and inner[0].type in words.strings else None


def _lines(node: Node, top: Node, words: Vocabulary) -> tuple[int, int]:
    """The lines of the statement around a node: of a compound one those of its head."""
    current = node
    while current.id != top.id and current.type not in words.statements:
        if current.parent is None:
            break
        current = current.parent
    last = current.end_point[0] + 1
    body = current.child_by_field_name("consequence") or current.child_by_field_name("body")
    if body is not None and body.start_byte > node.start_byte:
        last = max(current.start_point[0], body.start_point[0]) + (
            body.start_point[0] == current.start_point[0]
        )
    return current.start_point[0] + 1, max(last, current.start_point[0] + 1)
