"""Tests that stand among the sources (Rust's): where they are, and whether a change leaves them be.

`#[test]` functions, items under `#[cfg(test)]`, and the examples of documentation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tools.languages import LanguageSpec, language_of, parser

if TYPE_CHECKING:
    from tree_sitter import Node

_COMMENTS = ("line_comment", "block_comment")
_DEEPEST = 20
_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_CFG = re.compile(r"#!?\[\s*cfg\s*\((.*)\)\s*\]", re.DOTALL)
_TEST_CFG = re.compile(rb"\bcfg(?:_attr)?\s*!?\s*\([^\n]*?\btest\b|#!\[\s*cfg\b")
_LINE_DOC = re.compile(r"^\s*//[/!] ?(.*)$")
_BLOCK_DOC = re.compile(r"/\*[*!](.*?)\*/", re.DOTALL)
_FENCE = "```"


@dataclass(frozen=True)
class TestItem:
    """An item for tests: a half-open range of bytes with its attributes, and what encloses it.

    `within` are the headers of the enclosing items, from the outermost. `body` is the range inside
    the braces of a module, None for anything else; `is_test` says that it is a test itself.
    """

    __test__ = False

    start: int
    end: int
    within: tuple[bytes, ...]
    body: tuple[int, int] | None
    is_test: bool


def test_items(language: LanguageSpec, source: bytes) -> list[TestItem]:
    """The outermost items for tests, in order."""
    return sorted(_items(language, source), key=lambda item: item.start)


def changes_tests(path: str, before: bytes, after: bytes) -> bool:
    """Whether tests of a file are no longer what they were, or something could stand in for them.

    Whole new `#[test]` functions may be added, also to a module of tests. Nothing else may be new
    that is compiled for tests alone or for all but tests, nor any macro.
    """
    language = language_of(path)
    if language is None or not language.tests:
        return False
    old, new = (_Read.of(language, source) for source in (before, after))
    gone = (old.tests - new.tests) + (old.rest - new.rest) + (old.examples - new.examples)
    strange = (new.rest - old.rest) + (new.macros - old.macros)
    return bool(gone or strange) or new.conditions > old.conditions


def files_of_tests(files: Mapping[str, bytes]) -> frozenset[str]:
    """The files of modules that another file has for tests alone (`#[cfg(test)] mod checks;`)."""
    found = set()
    for path, source in files.items():
        language = language_of(path)
        if language is None or not language.tests or b"mod " not in source:
            continue
        place = PurePosixPath(path)
        folder = place.parent
        if place.name not in ("lib.rs", "main.rs", "mod.rs"):
            folder /= place.stem
        for item in test_items(language, source):
            match = re.search(rb"\bmod\s+(\w+)\s*;$", source[item.start : item.end])
            if match:
                start = str(folder / match[1].decode())
                found |= {p for p in files if p == f"{start}.rs" or p.startswith(f"{start}/")}
    return frozenset(found)


@dataclass(frozen=True)
class _Read:
    """What of a file must stay: tests and what is left of items for tests, with what encloses them;
    macros; examples of documentation; and how often compilation depends on tests."""

    tests: Counter[tuple[tuple[bytes, ...], bytes]]
    rest: Counter[tuple[tuple[bytes, ...], bytes]]
    macros: Counter[bytes]
    examples: Counter[str]
    conditions: int

    @classmethod
    def of(cls, language: LanguageSpec, source: bytes) -> _Read:
        tests: Counter[tuple[tuple[bytes, ...], bytes]] = Counter()
        rest: Counter[tuple[tuple[bytes, ...], bytes]] = Counter()
        for item in test_items(language, source):
            if item.body is None:
                kept = tests if item.is_test else rest
                kept[item.within, source[item.start : item.end]] += 1
                continue
            start, end = item.body
            header, at = source[item.start : start], start
            left = bytearray(header)
            for inner in test_items(language, source[start:end]):
                if inner.is_test:
                    left += source[at : start + inner.start]
                    at = start + inner.end
                    text = source[start + inner.start : at]
                    tests[(*item.within, header, *inner.within), text] += 1
            left += source[at : item.end]
            lines = [line.rstrip() for line in bytes(left).split(b"\n")]
            rest[item.within, b"\n".join(filter(None, lines))] += 1
        return cls(
            tests,
            rest,
            Counter(_macros(language, source)),
            Counter(_examples(source.decode("utf-8", "replace"))),
            len(_TEST_CFG.findall(source)),
        )


def _items(language: LanguageSpec, source: bytes) -> Iterator[TestItem]:
    """In no order, and without recursion: code nests deeper than Python's stack."""
    waiting: list[tuple[Node, tuple[bytes, ...]]] = [(parser(language).parse(source).root_node, ())]
    while waiting:
        parent, within = waiting.pop()
        attributes: list[Node] = []
        for node in parent.children:
            if node.type in language.leading:
                attributes.append(node)
            elif node.type not in _COMMENTS:
                start = attributes[0].start_byte if attributes else node.start_byte
                body = node.child_by_field_name("body")
                texts = [(a.text or b"").decode("utf-8", "replace") for a in attributes]
                is_test = any(re.match(language.tests, text) for text in texts)
                if is_test or any(map(_is_for_tests, texts)):
                    inside = None
                    if node.type == "mod_item" and body is not None:
                        inside = (body.start_byte + 1, max(body.start_byte + 1, body.end_byte - 1))
                    yield TestItem(start, node.end_byte, within, inside, is_test)
                elif node.is_named:
                    header = (source[start : body.start_byte],) if body is not None else ()
                    waiting.append((node, (*within, *header)))
                attributes = []


def _is_for_tests(attribute: str) -> bool:
    """Whether an attribute keeps an item out of anything but tests."""
    match = _CFG.fullmatch(_STRING.sub('""', attribute).strip())
    return match is not None and _implies_test(match[1], 0)


def _implies_test(predicate: str, depth: int) -> bool:
    predicate = predicate.strip()
    if predicate == "test" or depth > _DEEPEST:
        return predicate == "test"
    match = re.fullmatch(r"(all|any)\s*\((.*)\)", predicate, re.DOTALL)
    if match is None:
        return False
    parts = [_implies_test(part, depth + 1) for part in _parts(match[2])]
    return any(parts) if match[1] == "all" else bool(parts) and all(parts)


def _parts(text: str) -> list[str]:
    """What stands between the commas that are in no brackets."""
    found, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [part for part in found if part.strip()]


def _macros(language: LanguageSpec, source: bytes) -> Iterator[bytes]:
    waiting = [parser(language).parse(source).root_node]
    while waiting:
        node = waiting.pop()
        if node.type == "macro_definition":
            yield node.text or b""
        else:
            waiting += node.children


def _examples(source: str) -> Iterator[str]:
    """The blocks of code in comments of documentation."""
    texts: list[list[str]] = [block.split("\n") for block in _BLOCK_DOC.findall(source)]
    lines: list[str] = []
    for line in [*source.split("\n"), ""]:
        match = _LINE_DOC.match(line)
        if match:
            lines.append(match[1])
        elif lines:
            texts.append(lines)
            lines = []
    for text in texts:
        block: list[str] | None = None
        for line in text:
            is_fence = line.strip().lstrip("* ").startswith(_FENCE)
            if is_fence and block is not None:
                yield "\n".join(block)
                block = None
            elif is_fence:
                block = [line.strip()]
            elif block is not None:
                block.append(line.rstrip())
