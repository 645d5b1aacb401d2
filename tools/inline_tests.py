"""Tests that stand among the sources (Rust's `#[test]` and `#[cfg(test)]`): where, and whether a
change leaves them what they were."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tools.languages import LanguageSpec, language_of, parser

if TYPE_CHECKING:
    from tree_sitter import Node

Span = tuple[int, int, bool]
"""A half-open range of bytes, attributes included, and whether it is a module."""

_COMMENTS = ("line_comment", "block_comment")


def test_spans(language: LanguageSpec, source: bytes) -> list[Span]:
    """The outermost items whose attributes say that they are for tests, in order.

    Without recursion: code nests deeper than Python's stack.
    """
    found: list[Span] = []
    waiting = [parser(language).parse(source).root_node]
    while waiting:
        first: Node | None = None
        marked = False
        for node in waiting.pop().children:
            if node.type in language.leading:
                first = first or node
                text = (node.text or b"").decode("utf-8", "replace")
                marked |= bool(re.match(language.tests, text))
            elif node.type not in _COMMENTS:
                if marked and first is not None:
                    found.append((first.start_byte, node.end_byte, node.type == "mod_item"))
                elif node.is_named:
                    waiting.append(node)
                first, marked = None, False
    return sorted(found)


def changes_tests(path: str, before: bytes, after: bytes) -> bool:
    """Whether a test of a file is no longer what it was.

    Whole new tests may be added, also to a module of tests; nothing else may change there, for
    what is new could stand in the place of what is tested.
    """
    language = language_of(path)
    if language is None or not language.tests:
        return False
    had, has = (_texts(language, data) for data in (before, after))
    return bool(had - has) or _macros(after) > _macros(before)


def _texts(language: LanguageSpec, source: bytes) -> Counter[str]:
    """The tests of a file by their text; of a module, each of its tests and what is left."""
    found: Counter[str] = Counter()
    for start, end, is_module in test_spans(language, source):
        text = source[start:end]
        if is_module:
            body = text.find(b"{") + 1
            rest, at = bytearray(text[:body]), body
            for inner, stop, _ in test_spans(language, text[body:]):
                rest += text[at : body + inner]
                found[_plain(text[body + inner : body + stop])] += 1
                at = body + stop
            text = bytes(rest + text[at:])
        found[_plain(text)] += 1
    return found


def _plain(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())


_STANDARD = re.compile(rb"macro_rules!\s*(?:debug_)?(?:assert|panic|matches|unreachable|todo)\w*")


def _macros(source: bytes) -> int:
    """How many macros of the standard library that tests rely on are defined anew."""
    return len(_STANDARD.findall(source))
