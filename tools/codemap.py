"""A map of the code: the symbols that files define, and the names that they use."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tools.inline_tests import test_items
from tools.languages import Definition, LanguageSpec, language_of, parser

if TYPE_CHECKING:
    from tree_sitter import Node

MODULE = "<module>"
MAX_BYTES = 1_000_000
MAX_SIGNATURE = 200


@dataclass(frozen=True)
class Symbol:
    """One definition. Lines count from 1, both ends included; bytes are a half-open range.

    The range holds the decorators and attributes. `node_byte` is where the definition itself
    starts. The symbol of a file's top-level code is called `<module>` and spans the file.
    """

    path: str
    qualname: str
    kind: str
    start_line: int
    end_line: int
    start_byte: int
    end_byte: int
    node_byte: int
    signature: str
    references: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """`path::qualname`, unique in a code map."""
        return f"{self.path}::{self.qualname}"

    @property
    def name(self) -> str:
        """The last part of the qualified name, without a `#2`."""
        return plain_name(self.qualname)

    @property
    def is_code(self) -> bool:
        """Whether it stands for itself: modules, namespaces and classes hold what does."""
        return self.kind not in ("module", "class")

    @property
    def parent(self) -> str | None:
        """The qualified name of the enclosing symbol."""
        head, dot, _ = self.qualname.rpartition(".")
        return head if dot else None

    def text(self, source: bytes) -> str:
        """The definition's text in the file's bytes, first line indented as it stands there."""
        margin = indentation(source, self.start_byte)
        return margin + source[self.start_byte : self.end_byte].decode("utf-8", "replace")


def plain_name(qualname: str) -> str:
    """The last part of a qualified name, without the `#2` of a repeated one."""
    return re.sub(r"#\d+$", "", qualname.rsplit(".", 1)[-1])


def indentation(source: bytes, offset: int) -> str:
    """The white space before an offset, empty when something else stands on its line before it."""
    before = source[source.rfind(b"\n", 0, offset) + 1 : offset].decode("utf-8", "replace")
    return "" if before.strip() else before


def parse(path: str, source: bytes) -> list[Symbol]:
    """The symbols of one file in order, `<module>` first.

    An unknown language, a file above one megabyte and text that is not UTF-8 give no symbols.
    """
    language = language_of(path)
    if language is None or len(source) > MAX_BYTES:
        return []
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        return []
    root = parser(language).parse(source).root_node
    walk = _Walk(path, language, source)
    walk.visit(root)
    return walk.symbols()


def inline_tests(path: str, source: bytes) -> list[Symbol]:
    """The tests that stand among the sources of a file (Rust's), and what they enclose."""
    language = language_of(path)
    if language is None or not language.tests:
        return []
    items = test_items(language, source)
    return [
        symbol
        for symbol in parse(path, source)
        if symbol.qualname != MODULE
        and any(item.start <= symbol.start_byte < item.end for item in items)
    ]


@dataclass
class _Open:
    """A symbol whose node is being walked."""

    symbol: Symbol
    references: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)


class _Walk:
    def __init__(self, path: str, language: LanguageSpec, source: bytes) -> None:
        self.path, self.language, self.source = path, language, source
        lines = source.count(b"\n") + (not source.endswith(b"\n"))
        self.module = _Open(
            Symbol(path, MODULE, "module", 1, max(lines, 1), 0, len(source), 0, path)
        )
        self.found: list[_Open] = [self.module]
        self.taken: Counter[str] = Counter()

    def symbols(self) -> list[Symbol]:
        return [
            replace(o.symbol, references=frozenset(o.references), calls=frozenset(o.calls))
            for o in self.found
        ]

    def visit(self, root: Node) -> None:
        """Walk without recursion: generated code nests deeper than Python's stack."""
        stack: list[tuple[Node, tuple[_Open, ...], tuple[str, ...], bool]] = [(root, (), (), False)]
        while stack:
            node, opened, scope, is_name = stack.pop()
            definition = definition_of(node, self.language)
            name_node = node.child_by_field_name(definition.name) if definition else None
            if definition is not None and name_node is not None:
                names = (*scope, *self.names(node, name_node, definition))
                if not definition.scope:
                    symbol = self.define(node, definition, names, opened)
                    opened, scope = (*opened, symbol), tuple(symbol.symbol.qualname.split("."))
                else:
                    scope = names
            elif node.type in self.language.identifiers and not is_name:
                self.refer(node, opened)
            if node.type in self.language.calls:
                self.call(node, opened)
            own_name = name_node if definition and not definition.scope else None
            stack.extend(
                (child, opened, scope, own_name is not None and child.id == own_name.id)
                for child in reversed(node.children)
            )

    def names(self, node: Node, name_node: Node, definition: Definition) -> tuple[str, ...]:
        name = _first_of(name_node, self.language.types) if definition.scope else name_node
        own = _text(name or name_node)
        owner = node.child_by_field_name(definition.owner) if definition.owner else None
        owner_name = _first_of(owner, self.language.types) if owner else None
        return (_text(owner_name), own) if owner_name else (own,)

    def define(
        self, node: Node, definition: Definition, names: tuple[str, ...], opened: tuple[_Open, ...]
    ) -> _Open:
        qualname = ".".join(names)
        self.taken[qualname] += 1
        if self.taken[qualname] > 1:
            qualname = f"{qualname}#{self.taken[qualname]}"
        kind = definition.kind
        inside = opened[-1].symbol.kind if opened else ""
        if kind == "function" and (inside in self.language.containers or self.in_scope(node)):
            kind = "method"
        first, last = extent(node, self.language)
        symbol = Symbol(
            path=self.path,
            qualname=qualname,
            kind=kind,
            start_line=first.start_point[0] + 1,
            end_line=last.end_point[0] + 1,
            start_byte=first.start_byte,
            end_byte=last.end_byte,
            node_byte=node.start_byte,
            signature=self.signature(node),
        )
        self.found.append(_Open(symbol))
        return self.found[-1]

    def in_scope(self, node: Node) -> bool:
        holder = node.parent.parent if node.parent else None
        found = definition_of(holder, self.language) if holder else None
        return found is not None and found.scope

    def signature(self, node: Node) -> str:
        value = node.child_by_field_name("value")
        end = node.end_byte
        for holder in (node, *([value] if value else [])):
            for name in self.language.bodies:
                body = holder.child_by_field_name(name)
                if body is not None:
                    end = min(end, body.start_byte)
        text = self.source[node.start_byte : end].decode("utf-8", "replace")
        if end == node.end_byte:
            text = text.split("\n", 1)[0]
        elif self.language.indented_blocks:
            text = text[: text.rindex(":") + 1] if ":" in text else text
        text = " ".join(text.split())
        return text if len(text) <= MAX_SIGNATURE else text[: MAX_SIGNATURE - 1] + "…"

    def refer(self, node: Node, opened: tuple[_Open, ...]) -> None:
        name = _text(node)
        for symbol in opened or (self.module,):
            symbol.references.add(name)

    def call(self, node: Node, opened: tuple[_Open, ...]) -> None:
        callee = node.child_by_field_name(self.language.calls[node.type])
        while callee is not None and callee.type not in self.language.identifiers:
            named = callee.named_children
            callee = named[-1] if named else None
        if callee is not None:
            for symbol in opened or (self.module,):
                symbol.calls.add(_text(callee))


def definition_of(node: Node, language: LanguageSpec) -> Definition | None:
    """The table's row for a node that defines a symbol, else None."""
    definition = language.definitions.get(node.type)
    if definition is None or not definition.values:
        return definition
    value = node.child_by_field_name(definition.value)
    return definition if value is not None and value.type in definition.values else None


def extent(node: Node, language: LanguageSpec) -> tuple[Node, Node]:
    """First and last node of a definition: with its wrapper and what leads it."""
    outer = node
    while outer.parent is not None and outer.parent.type in language.wrappers:
        held = [c for c in outer.parent.named_children if _holds_definition(c, language)]
        if len(held) != 1:
            break
        outer = outer.parent
    first = outer
    before = first.prev_named_sibling
    while before is not None and before.type in language.leading:
        first, before = before, before.prev_named_sibling
    return first, outer


def _holds_definition(node: Node, language: LanguageSpec) -> bool:
    if node.type in language.modifiers or node.type == "comment":
        return False
    return node.type in language.definitions or node.type in language.wrappers


def _first_of(node: Node, types: frozenset[str]) -> Node | None:
    stack = [node]
    while stack:
        current = stack.pop()
        if current.type in types and current.type != "parameter_list":
            return current
        stack.extend(reversed(current.named_children))
    return None


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


@dataclass(frozen=True)
class Codemap:
    """All symbols of a repository, looked up by id, by name and by place."""

    symbols: Mapping[str, Symbol]
    by_name: Mapping[str, tuple[Symbol, ...]]
    by_path: Mapping[str, tuple[Symbol, ...]]
    counts: Mapping[str, int]

    @classmethod
    def build(cls, files: Iterable[tuple[str, bytes]]) -> Codemap:
        """Parse files, given as path and bytes; those that cannot be parsed are left out."""
        symbols: dict[str, Symbol] = {}
        by_name: defaultdict[str, list[Symbol]] = defaultdict(list)
        by_path: dict[str, tuple[Symbol, ...]] = {}
        counts: Counter[str] = Counter()
        for path, source in files:
            found = parse(path, source)
            if not found:
                continue
            by_path[path] = tuple(found)
            for symbol in found:
                symbols[symbol.id] = symbol
                if symbol.qualname != MODULE:
                    by_name[symbol.name].append(symbol)
                if symbol.parent is None:
                    counts.update(symbol.references)
        return cls(symbols, {n: tuple(s) for n, s in by_name.items()}, by_path, counts)

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self.symbols.values())

    def find(self, name: str) -> tuple[Symbol, ...]:
        """Symbols by plain name, or by a qualified name or its end (`Class.method`)."""
        last = plain_name(name)
        candidates = self.by_name.get(last, ())
        if name == last:
            return candidates
        return tuple(s for s in candidates if f".{s.qualname}".endswith(f".{name}"))

    def at(self, path: str, line: int) -> Symbol | None:
        """The innermost symbol at a line; `<module>` outside all definitions."""
        best: Symbol | None = None
        for symbol in self.by_path.get(path, ()):
            inside = symbol.start_line <= line <= symbol.end_line
            if inside and (best is None or symbol.start_line >= best.start_line):
                best = symbol
        return best

    def references(self, name: str) -> int:
        """In how many top-level definitions and modules a name is used."""
        return self.counts.get(name, 0)

    def callers(self, symbol: Symbol) -> tuple[Symbol, ...]:
        """Symbols that call something of this symbol's name, innermost only."""
        name = symbol.name
        if name in {"__init__", "constructor", "new"} and symbol.parent:
            name = symbol.parent.rsplit(".", 1)[-1]
        return tuple(
            s for s in self if name in s.calls and s.id != symbol.id and not self._inner(s, name)
        )

    def callees(self, symbol: Symbol) -> tuple[Symbol, ...]:
        """Symbols whose name this symbol calls: those of its own file if there are any."""
        found: list[Symbol] = []
        for name in sorted(symbol.calls):
            named = [s for s in self.by_name.get(name, ()) if s.id != symbol.id]
            found.extend([s for s in named if s.path == symbol.path] or named)
        return tuple(found)

    def _inner(self, symbol: Symbol, name: str) -> bool:
        prefix = f"{symbol.qualname}."
        return any(
            s.qualname.startswith(prefix) and name in s.calls for s in self.by_path[symbol.path]
        )


def nearest(codemap: Codemap, wanted: str, limit: int = 5) -> list[str]:
    """Ids that resemble a mistaken one, best first."""
    from difflib import SequenceMatcher

    path, _, qualname = wanted.partition("::")
    last = qualname.rsplit(".", 1)[-1]

    def score(symbol: Symbol) -> float:
        name = SequenceMatcher(None, last, symbol.name).ratio()
        same_file = PurePosixPath(path).name == PurePosixPath(symbol.path).name
        return name + (0.5 if symbol.path == path else 0.3 if same_file else 0.0)

    ranked = sorted(codemap, key=lambda s: (-score(s), s.id))
    return [s.id for s in ranked if s.qualname != MODULE][:limit]
