"""Edits of statements: taken away, moved, added, unwrapped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tools.repairs.edit import Change, Scope, walk

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_COPIES = 12
MAX_LINES = 6


def removals(scope: Scope, node: Node) -> Iterator[Change]:
    """A statement, or an `else`, taken away; a guard taken from around its statements."""
    words = scope.words
    if node.type not in words.statements or not scope.margin(node):
        return
    alone = node.parent is not None and len(_siblings(node)) == 1
    if not alone:
        start = node.start_byte - len(scope.margin(node).encode())
        yield Change(start, _line_end(scope, node), "")
    elif words.indented:
        yield scope.put(node, "pass")
    body = _body(node)
    if body is not None and words.indented and node.type == "if_statement":
        yield scope.put(node, _reindented(scope, body, scope.margin(node)))


def jumps(scope: Scope, node: Node) -> Iterator[Change]:
    """Another way to leave: break for continue, a plain return, another value returned."""
    words = scope.words
    text = scope.text(node)
    others = {"break_statement": "continue", "continue_statement": "break"}
    if node.type in others and words.indented:
        yield scope.put(node, others[node.type])
        yield scope.put(node, "pass")
        yield scope.put(node, "return")
    elif node.type == words.returns and words.indented:
        yield scope.put(node, "pass")
        if node.named_children:
            value = scope.text(node.named_children[0])
            yield scope.put(node, f"yield {value}")
            if scope.words.receiver in scope.parameters or scope.attributes:
                yield scope.put(node, f"return {words.receiver}")
        for name in scope.local[:6]:
            if text != f"return {name}":
                yield scope.put(node, f"return {name}")
    elif node.type == "expression_statement" and words.indented and node.named_children:
        only = node.named_children[0]
        if only.type in words.calls | {"yield", "await"} | words.binary:
            yield scope.put(node, f"return {text}")


def moves(scope: Scope, node: Node) -> Iterator[Change]:
    """Two neighbours the other way round; the last statement of a block moved behind it, and
    the one behind a block moved into it."""
    words = scope.words
    if node.type not in words.statements or not scope.margin(node):
        return
    behind = node.next_named_sibling
    if behind is not None and behind.type in words.statements and scope.margin(behind):
        first, second = scope.text(node), scope.text(behind)
        between = scope.source[node.end_byte : behind.start_byte].decode("utf-8", "replace")
        yield Change(node.start_byte, behind.end_byte, second + between + first)
        inner = _last_statement(node) if words.indented else None
        if inner is not None and node.type not in words.simple:
            moved = _shifted(scope, behind, scope.margin(inner))
            cut = Change(inner.end_byte, behind.end_byte, "\n" + moved)
            yield cut
    if words.indented and node.parent is not None and node.parent.type in words.blocks:
        owner = node.parent.parent
        last = node.next_named_sibling is None
        if owner is not None and last and owner.type in words.statements:
            margin = scope.margin(owner)
            if scope.margin(node) != margin and len(_siblings(node)) > 1 and margin:
                start = node.start_byte - len(scope.margin(node).encode())
                yield Change(start, node.end_byte, _shifted(scope, node, margin))


def additions(scope: Scope, node: Node) -> Iterator[Change]:
    """A line before or behind a statement: a way to leave, an attribute set from a parameter, or
    a line that stands elsewhere in the definition (Barr et al., "The plastic surgery
    hypothesis", FSE 2014)."""
    words = scope.words
    margin = scope.margin(node)
    if node.type not in words.statements or not margin or not words.indented:
        return
    receiver = words.receiver
    lines = []
    if receiver in scope.parameters:
        lines += [f"{receiver}.{p} = {p}" for p in scope.parameters if p != receiver][:MAX_LINES]
    if _inside(node, ("for_statement", "while_statement")):
        lines += ["continue", "break"]
    lines += [f"return {name}" for name in scope.local[:4]]
    lines += ["return", "return True", "return False"]
    own = scope.text(node)
    lines += [copy for copy in _copies(scope) if copy != own]
    ends = node.type in (words.returns, "raise_statement")
    for line in dict.fromkeys(lines):
        yield Change(node.start_byte, node.start_byte, f"{line}\n{margin}")
        if not ends:
            yield Change(node.end_byte, node.end_byte, f"\n{margin}{line}")


def tests(scope: Scope, node: Node) -> Iterator[Change]:
    """A guard before a statement: leave, or skip, when a variable is missing or empty."""
    words = scope.words
    margin = scope.margin(node)
    if node.type not in words.statements or not margin or not words.indented:
        return
    step = "    " if "\t" not in margin else "\t"
    leave = ["return None", "return"]
    if _inside(node, ("for_statement", "while_statement")):
        leave = ["continue", "break", *leave]
    for name in scope.local[:4]:
        for condition in (words.null_test.format(name), f"not {name}"):
            for way in [*leave, f"return {name}"]:
                guard = f"if {condition}:\n{margin}{step}{way}\n{margin}"
                yield Change(node.start_byte, node.start_byte, guard)


def wrapped(scope: Scope, node: Node) -> Iterator[Change]:
    """A statement that is only for a variable that is there, or is missing."""
    words = scope.words
    margin = scope.margin(node)
    if node.type not in words.statements or not margin or not words.indented:
        return
    step = "    " if "\t" not in margin else "\t"
    body = _shifted(scope, node, margin + step)
    for name in scope.local[:5]:
        missing = words.null_test.format(name)
        for condition in (missing, missing.replace(" is ", " is not "), name, f"not {name}"):
            yield scope.put(node, f"if {condition}:\n{body}")


def _copies(scope: Scope) -> list[str]:
    found = []
    for node in walk(scope.node):
        if node.type in scope.words.simple and scope.margin(node):
            text = scope.text(node)
            if "\n" not in text and not text.startswith(("'", '"')):
                found.append(text)
    return list(dict.fromkeys(found))[:MAX_COPIES]


def _inside(node: Node, kinds: tuple[str, ...]) -> bool:
    above = node.parent
    while above is not None and not above.type.endswith("_definition"):
        if above.type in kinds:
            return True
        above = above.parent
    return False


def _siblings(node: Node) -> list[Node]:
    parent = node.parent
    return [c for c in parent.named_children if c.type != "comment"] if parent is not None else []


def _body(node: Node) -> Node | None:
    return node.child_by_field_name("consequence") or node.child_by_field_name("body")


def _last_statement(node: Node) -> Node | None:
    body = _body(node)
    return body.named_children[-1] if body is not None and body.named_children else None


def _line_end(scope: Scope, node: Node) -> int:
    end = scope.source.find(b"\n", node.end_byte)
    return end + 1 if end >= 0 else node.end_byte


def _reindented(scope: Scope, body: Node, margin: str) -> str:
    """The statements of a block, as they stand outside of it."""
    first = body.named_children[0]
    inner = scope.margin(first)
    lines = scope.text(body).split("\n")
    moved = [margin + line[len(inner) :] if line.startswith(inner) else line for line in lines[1:]]
    return "\n".join([lines[0], *moved])


def _shifted(scope: Scope, node: Node, margin: str) -> str:
    """A statement with another margin, its own first line included."""
    inner = scope.margin(node)
    lines = scope.text(node).split("\n")
    moved = [margin + line[len(inner) :] if line.startswith(inner) else line for line in lines[1:]]
    return "\n".join([margin + lines[0], *moved])
