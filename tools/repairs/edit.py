"""The vocabulary of repairs: an edit of a file, and a piece of code to edit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

    from tools.repairs.vocabulary import Vocabulary


@dataclass(frozen=True)
class Edit:
    """Other text for the bytes `start` to `end` of a file.

    `symbol` is the id of the definition around it, `rule` names what thought of it; `first` and
    `last` are the lines of the statement that it changes, from 1, and `weight` says how likely its
    kind is, from 0 to 1.
    """

    path: str
    start: int
    end: int
    text: str
    symbol: str = ""
    rule: str = ""
    first: int = 0
    last: int = 0
    weight: float = 1.0

    def applied(self, source: bytes) -> bytes:
        """The file with the edit, in the file's own line endings."""
        text = self.text.encode()
        if b"\r\n" in source:
            text = re.sub(rb"(?<!\r)\n", b"\r\n", text)
        return source[: self.start] + text + source[self.end :]


@dataclass(frozen=True)
class Change:
    """What a rule proposes: other text for a range of bytes."""

    start: int
    end: int
    text: str


@dataclass
class Scope:
    """The definition that is edited, and the words that its file has to offer.

    `names` are variables that may be written in it, nearest first, `local` those that it sets or is
    given; `attributes` those of its object, by receiver; `texts` and `numbers` the literals around
    it.
    """

    source: bytes
    node: Node
    words: Vocabulary
    names: list[str] = field(default_factory=list)
    local: list[str] = field(default_factory=list)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)

    def text(self, node: Node) -> str:
        """The text of a node."""
        return text_of(self.source, node)

    def put(self, node: Node, text: str) -> Change:
        """Other text in the place of a node."""
        return Change(node.start_byte, node.end_byte, text)

    def margin(self, node: Node) -> str:
        """The white space before a node that begins its line, else nothing."""
        start = self.source.rfind(b"\n", 0, node.start_byte) + 1
        before = self.source[start : node.start_byte].decode("utf-8", "replace")
        return "" if before.strip() else before


def text_of(source: bytes, node: Node) -> str:
    """The text of a node of a file."""
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def walk(node: Node) -> Iterator[Node]:
    """A node and all nodes below it, in the order of the text."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.children))
