"""A mutation: a small change of one Python file, kept as byte edits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FAMILIES: tuple[str, ...] = (
    "condition-inverted",
    "condition-removed",
    "operator",
    "constant",
    "off-by-one",
    "arguments-swapped",
    "operands-swapped",
    "statement-removed",
    "statements-reordered",
    "wrong-variable",
    "wrong-attribute",
    "loop-removed",
    "return-removed",
    "class-edit",
)
_JOIN = " + "


@dataclass(frozen=True, order=True)
class Edit:
    """Replace the bytes `start` to `end` of a UTF-8 source by `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Mutation:
    """Edits of one file, and where they are.

    `symbol` is the `__qualname__` of the innermost enclosing def or class ("" at module level).
    `line` is the 1-based line of the first edit. `def_line` is the first line, decorators included,
    of the innermost function whose body holds the first edit (`co_firstlineno`), or 0. `family` is
    one of `FAMILIES`, or several joined by " + " and sorted.
    """

    path: str
    symbol: str
    line: int
    def_line: int
    family: str
    edits: tuple[Edit, ...]

    @property
    def id(self) -> str:
        """12 hexadecimal digits that depend on the path and the edits only."""
        key = json.dumps([self.path, [[e.start, e.end, e.text] for e in self.edits]])
        return hashlib.sha256(key.encode()).hexdigest()[:12]

    def apply(self, source: bytes) -> bytes:
        """The mutated source."""
        return applied(source, self.edits)


def applied(source: bytes, edits: Sequence[Edit]) -> bytes:
    """`source` with the edits made; they must not overlap."""
    parts: list[bytes] = []
    done = 0
    for edit in sorted(edits):
        parts += (source[done : edit.start], edit.text.encode())
        done = edit.end
    return b"".join((*parts, source[done:]))


def combine(first: Mutation, second: Mutation) -> Mutation | None:
    """Both mutations at once, or None for different files and for edits that overlap or touch.

    The place is that of the earlier one. Two mutations that compile may not compile together
    (each removes one half of a block), so check the `fingerprint` of the result.
    """
    if first.path != second.path:
        return None
    edits = sorted((*first.edits, *second.edits))
    if any(before.end >= after.start for before, after in pairwise(edits)):
        return None
    place = min(first, second, key=lambda mutation: mutation.edits[0])
    families = sorted((*first.family.split(_JOIN), *second.family.split(_JOIN)))
    return Mutation(
        path=place.path,
        symbol=place.symbol,
        line=place.line,
        def_line=place.def_line,
        family=_JOIN.join(families),
        edits=tuple(edits),
    )
