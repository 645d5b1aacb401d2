"""All small edits of a definition, likely ones first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tools.codemap import Symbol, definition_of
from tools.languages import language_of, parser
from tools.repairs import expressions, names, statements
from tools.repairs.edit import Change, Edit, Scope, text_of, walk
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
MAX_LITERAL = 40


def edits(symbol: Symbol, source: bytes) -> list[Edit]:
    """The small edits of a definition, each one once. None in a language without a vocabulary.

    Weights order them; what does not parse is not sorted out.
    """
    language = language_of(symbol.path)
    words = VOCABULARIES.get(language.name) if language else None
    if language is None or words is None or symbol.end_byte - symbol.start_byte > MAX_DEFINITION:
        return []
    file = _file(symbol.path, source)
    node = file.root.descendant_for_byte_range(symbol.node_byte, symbol.node_byte + 1)
    while node is not None and definition_of(node, language) is None:
        node = node.parent
    if node is None or node.start_byte != symbol.node_byte:
        return []
    scope = _scope(source, file, node, words)
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


@dataclass(frozen=True)
class _File:
    """What is the same for all definitions of a file: how often functions are called in it, errors
    are named, and its literals by their kind."""

    root: Node
    called: Counter[str]
    errors: Counter[str]
    literals: Mapping[frozenset[str], Sequence[str]]


@lru_cache(maxsize=8)
def _file(path: str, source: bytes) -> _File:
    language = language_of(path)
    assert language is not None
    words = VOCABULARIES[language.name]
    root = parser(language).parse(source).root_node
    errors = re.findall(r"\b[A-Z]\w*(?:Error|Exception|Warning)\b", source.decode())
    kinds = (words.strings, words.numbers)
    literals = {kind: _literals(source, root, kind) for kind in kinds}
    return _File(root, Counter(_called(source, root, words)), Counter(errors), literals)


def _scope(source: bytes, file: _File, node: Node, words: Vocabulary) -> Scope:
    scope = Scope(source, node, words)
    seen: Counter[str] = Counter()
    for inner in walk(node):
        if inner.type in words.parameters:
            scope.parameters += _identifiers(scope, inner)
    for inner in walk(node):
        if inner.type in words.identifiers and _is_variable(inner, words):
            seen[scope.text(inner)] += 1
    skipped = {words.receiver, *words.keywords}
    scope.names = [
        name
        for name in dict.fromkeys([*scope.parameters, *(n for n, _ in seen.most_common())])
        if name not in skipped and (name in scope.parameters or name not in file.called)
    ]
    scope.local = list(dict.fromkeys([*scope.parameters, *_set(scope, node)]))
    scope.local = [name for name in scope.local if name not in skipped]
    scope.functions = [name for name, _ in file.called.most_common(12)]
    scope.errors = [name for name, _ in file.errors.most_common(8)]
    holder = _class_of(node)
    scope.attributes = _attributes(scope, holder or node)
    for kind, held in ((words.strings, scope.texts), (words.numbers, scope.numbers)):
        around = _literals(source, holder, kind) if holder else file.literals[kind]
        held += dict.fromkeys([*_literals(source, node, kind), *around])
    return scope


def _literals(source: bytes, node: Node, kinds: frozenset[str]) -> list[str]:
    """The short literals of some kinds in a node, each once."""
    short = (n for n in walk(node) if n.type in kinds and n.end_byte - n.start_byte <= MAX_LITERAL)
    return list(dict.fromkeys(text for n in short if "\n" not in (text := text_of(source, n))))


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


def _called(source: bytes, root: Node, words: Vocabulary) -> Iterator[str]:
    for node in walk(root):
        if node.type in words.calls:
            function = node.child_by_field_name("function")
            if function is not None and function.type in words.identifiers:
                yield text_of(source, function)


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
