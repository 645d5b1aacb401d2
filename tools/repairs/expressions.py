"""Edits of expressions: operators, conditions, operands, literals, arguments, bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from tools.repairs.edit import Change, Scope

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_TEXTS = 10
SHORT = 6
SEPARATORS = ("", " ", "-", "_", ".", ",", "/", ":", ";", "=", "|", "+", "*", "#", "\\n", ", ", "0")
_SCALING = frozenset({"*", "/", "//", "%", "**"})
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!=", "===", "!=="})


def operators(scope: Scope, node: Node) -> Iterator[Change]:
    """Another operator between two operands, or in an assignment."""
    if node.type not in scope.words.binary | scope.words.assignments:
        return
    for child in node.children:
        if child.is_named:
            continue
        for other in scope.words.operators.get(scope.text(child), ()):
            yield scope.put(child, other)


def assigned(scope: Scope, node: Node) -> Iterator[Change]:
    """An assignment that adds to what is there, and one that does not."""
    if node.type == "assignment" and node.parent is not None:
        target, sign = node.child_by_field_name("left"), _token(node, "=")
        if target is not None and sign is not None and target.type in scope.words.identifiers:
            yield scope.put(sign, "+=")
            yield scope.put(sign, "-=")


def negations(scope: Scope, node: Node) -> Iterator[Change]:
    """A condition turned round, and a negation or sign taken away."""
    if node.type in scope.words.unary:
        operand = node.named_children[-1] if node.named_children else None
        if operand is not None:
            yield scope.put(node, scope.text(operand))
    for condition in _conditions(scope, node):
        if condition.type not in scope.words.unary:
            yield scope.put(condition, scope.words.negated.format(scope.text(condition)))


def reductions(scope: Scope, node: Node) -> Iterator[Change]:
    """One operand in the place of two, one branch of a choice, an argument instead of the call."""
    words = scope.words
    if node.type in words.binary:
        kept = [node.named_children[0], node.named_children[-1]] if node.named_children else []
        for operand in kept:
            yield scope.put(node, scope.text(operand))
    elif node.type == words.ternary:
        for child in node.named_children:
            yield scope.put(node, scope.text(child))
    elif node.type in words.calls:
        function = node.child_by_field_name("function")
        arguments = _arguments(scope, node)
        if len(arguments) == 1 and arguments[0].type != words.keyword:
            yield scope.put(node, scope.text(arguments[0]))
        if function is not None and function.type == words.attribute:
            receiver = function.named_children[0]
            yield scope.put(node, scope.text(receiver))
    elif node.type == words.subscript and node.named_children:
        yield scope.put(node, scope.text(node.named_children[0]))


def swaps(scope: Scope, node: Node) -> Iterator[Change]:
    """Two operands, neighbours of a list or arguments, or branches of a choice the other way."""
    words = scope.words
    if node.type in words.binary and len(node.named_children) == 2:
        yield _exchanged(scope, *node.named_children)
    elif node.type in words.arguments | words.sequences | {"slice"}:
        children = node.named_children
        if node.type == "slice" and len(children) == 1:
            yield scope.put(node, _other_end(scope.text(node)))
        for first, second in pairwise(children):
            yield _swapped(scope, first, second)
    elif node.type == words.ternary:
        children = node.named_children
        if len(children) == 3:
            outer = (children[0], children[2]) if words.indented else (children[1], children[2])
            yield _exchanged(scope, *outer)


def literals(scope: Scope, node: Node) -> Iterator[Change]:
    """Another number, text or constant."""
    words, text = scope.words, scope.text(node)
    if node.type in words.numbers:
        yield from (scope.put(node, other) for other in _numbers(text, scope.numbers))
    elif node.type in words.strings:
        others = [t for t in scope.texts if t != text]
        others = sorted(others, key=lambda t: abs(len(t) - len(text)))[:MAX_TEXTS]
        quote = '"' if '"' in text else "'"
        marks = SEPARATORS if len(text) <= SHORT else ("",)
        others += [f"{quote}{mark}{quote}" for mark in marks]
        yield from (scope.put(node, other) for other in dict.fromkeys(others) if other != text)
        yield from (scope.put(node, other) for other in _cases(text))
    elif text in words.constants and not node.named_children:
        for other in words.constants:
            if other != text:
                yield scope.put(node, other)
        yield scope.put(node, "0")


def bounds(scope: Scope, node: Node) -> Iterator[Change]:
    """One more and one less: in indices, slices, arguments, comparisons, and factors."""
    words = scope.words
    if node.type == words.slice:
        yield from _slices(scope, node)
    places: list[Node] = []
    if node.type == words.slice or (node.type == words.subscript and len(node.named_children) > 1):
        places = node.named_children[1 if node.type == words.subscript else 0 :]
    elif node.type in words.arguments:
        places = [c for c in node.named_children if c.type != words.keyword]
    elif node.type in words.binary and any(scope.text(c) in _COMPARISONS for c in node.children):
        places = [node.named_children[-1]] if node.named_children else []
    elif node.type == words.returns:
        places = node.named_children[:1]
    elif node.type in words.assignments:
        right = node.child_by_field_name("right")
        places = [right] if right is not None else []
    for place in places:
        if place.type in words.numbers | words.strings | words.sequences or place.type == "slice":
            continue
        text = scope.text(place)
        if "\n" in text or text in words.constants:
            continue
        yield scope.put(place, f"{text} + 1")
        yield scope.put(place, f"{text} - 1")
    if node.type in words.binary and any(scope.text(c) in _SCALING for c in node.children):
        for operand in node.named_children:
            if operand.type in words.identifiers | {words.attribute}:
                text = scope.text(operand)
                yield scope.put(operand, f"({text} - 1)")
                yield scope.put(operand, f"({text} + 1)")


def arguments(scope: Scope, node: Node) -> Iterator[Change]:
    """A call with an argument less, or with a parameter of the caller passed on."""
    if node.type not in scope.words.arguments:
        return
    children = [c for c in node.named_children if c.type != "comment"]
    texts = [scope.text(child) for child in children]
    for number in range(len(children)):
        yield scope.put(node, f"({', '.join(texts[:number] + texts[number + 1 :])})")
    for name in scope.parameters[:6]:
        if name not in texts and len(texts) < 6:
            plain = [c for c in children if c.type != scope.words.keyword]
            at = len(plain)
            yield scope.put(node, f"({', '.join([*texts[:at], name, *texts[at:]])})")
            if scope.words.indented:
                yield scope.put(node, f"({', '.join([*texts, f'{name}={name}'])})")


def wraps(scope: Scope, node: Node) -> Iterator[Change]:
    """A value passed through a common function, in a return, an assignment or as an argument."""
    words = scope.words
    places: list[Node] = []
    if node.type == words.returns:
        places = node.named_children[:1]
    elif node.type in words.assignments:
        right = node.child_by_field_name("right")
        places = [right] if right is not None else []
    elif node.type in words.loop:
        over = node.child_by_field_name(words.loop[node.type])
        places = [over] if over is not None else []
    for place in places:
        text = scope.text(place)
        if "\n" in text:
            continue
        for function in words.wraps:
            if not text.startswith(f"{function}("):
                yield scope.put(place, f"{function}({text})")
        if place.type not in words.unary | words.binary:
            yield scope.put(place, f"-{text}")
        yield scope.put(place, words.negated.format(text))


def guards(scope: Scope, node: Node) -> Iterator[Change]:
    """A condition with one more part: a parameter or a variable that is there, or is not."""
    words = scope.words
    for condition in _conditions(scope, node):
        text = scope.text(condition)
        if "\n" in text:
            continue
        both, either = ("and", "or") if words.indented else ("&&", "||")
        whole = f"({text})" if condition.type in words.boolean else text
        for name in scope.local[:5]:
            for sign in ("", words.not_prefix):
                yield scope.put(condition, f"{whole} {both} {sign}{name}")
                yield scope.put(condition, f"{sign}{name} {either} {whole}")


def _conditions(scope: Scope, node: Node) -> Iterator[Node]:
    """The conditions that a node holds: of statements, choices, filters, and parts of them."""
    words = scope.words
    name = words.conditions.get(node.type)
    condition = node.child_by_field_name(name) if name else None
    if condition is not None:
        inner = condition.named_children
        yield inner[0] if condition.type == "parenthesized_expression" and inner else condition
    elif node.type == words.ternary and len(node.named_children) == 3:
        yield node.named_children[1 if words.indented else 0]
    elif node.type == "if_clause" and node.named_children:
        yield node.named_children[0]
    elif node.type in words.boolean:
        yield from node.named_children


def _arguments(scope: Scope, call: Node) -> list[Node]:
    held = call.child_by_field_name("arguments")
    return held.named_children if held is not None else []


def _token(node: Node, text: str) -> Node | None:
    return next((child for child in node.children if child.type == text), None)


def _exchanged(scope: Scope, first: Node, second: Node) -> Change:
    between = scope.source[first.end_byte : second.start_byte].decode("utf-8", "replace")
    text = scope.text(second) + between + scope.text(first)
    return Change(first.start_byte, second.end_byte, text)


def _swapped(scope: Scope, first: Node, second: Node) -> Change:
    """Neighbours the other way; of keyword arguments the values."""
    keyword = scope.words.keyword
    if keyword and first.type == second.type == keyword:
        one, other = first.child_by_field_name("value"), second.child_by_field_name("value")
        if one is not None and other is not None:
            return _exchanged(scope, one, other)
    return _exchanged(scope, first, second)


def _other_end(text: str) -> str:
    """`a:` for `:a` and the other way."""
    before, _, after = text.partition(":")
    return f"{after}:{before}"


def _slices(scope: Scope, node: Node) -> Iterator[Change]:
    start, _, stop = scope.text(node).partition(":")
    others = [":", f"{start}:", f":{stop}", f"{start or 1}:{stop}", f"{start}:{stop or -1}"]
    if not start:
        others.append(f"1:{stop}")
    if stop in ("", "-1"):
        others += [f"{start}:{'' if stop else '-1'}"]
    if not start and not stop.strip(":"):
        others.append("::-1")
    for other in dict.fromkeys(others):
        yield scope.put(node, other)


def _numbers(text: str, around: list[str]) -> list[str]:
    try:
        value = int(text, 0)
    except ValueError:
        try:
            number = float(text)
        except ValueError:
            return []
        found = [number + 1, number - 1, number * 2, number / 2, number * 10, number / 10, -number]
        return [repr(f) for f in found]
    near = [value + 1, value - 1, 0, 1, -value, 2, value * 2, value // 2, value * 10, value // 10]
    return [t for t in dict.fromkeys([*map(str, near), *around[:8]]) if t != text]


def _cases(text: str) -> list[str]:
    """A text in the other case, trimmed, and with a blank more."""
    if len(text) < 3 or "\n" in text:
        return []
    match = re.fullmatch(r"([A-Za-z]*['\"]+)(.*?)(['\"]+)", text)
    if match is None:
        return []
    head, body, tail = match.groups()
    others = [body.upper(), body.lower(), body.strip(), f"{body} ", f" {body}", body[:-1], body[1:]]
    return [f"{head}{other}{tail}" for other in dict.fromkeys(others) if other != body]
