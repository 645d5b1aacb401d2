"""Compiling a mutated piece of a module in place of the module.

A statement of a module compiles to the same instructions whatever stands around it, and so does a
statement of a class. The smallest such statement that holds all edits is compiled, inside empty
class headers (private names and qualified names depend on them).
"""

from __future__ import annotations

import ast
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import libcst as cst

from agent.tasks.mutate.model import Edit, applied
from agent.tasks.mutate.source import Source
from tools.fingerprint import compiled, digest, future_flags


@dataclass(frozen=True, eq=False)
class Unit:
    """A piece of the source from `start` to `end`, and what to put before it to compile it."""

    start: int
    end: int
    header: bytes = b""
    parts: tuple[Unit, ...] = ()
    starts: tuple[int, ...] = field(default=(), repr=False)

    def smallest(self, edits: Sequence[Edit]) -> Unit:
        """The smallest unit within this one that holds all edits."""
        at = bisect_right(self.starts, edits[0].start) - 1
        if at >= 0 and all(
            self.parts[at].start <= edit.start and edit.end <= self.parts[at].end for edit in edits
        ):
            return self.parts[at].smallest(edits)
        return self


class Compiler:
    """Compiles mutated units of one source and tells whether they differ."""

    def __init__(self, source: Source) -> None:
        self._data = source.data
        tree = ast.parse(source.data)
        self._flags = future_flags(tree)
        self._unit = Unit(0, len(source.data))
        if not any(isinstance(statement, (ast.Raise, ast.While)) for statement in tree.body):
            self._unit = _with_parts(source, self._unit, source.module.body, b"")
        self._originals: dict[Unit, bytes | None] = {}
        self._lenient: set[Unit] = set()

    def changed(self, edits: Sequence[Edit]) -> tuple[int, int, bytes] | None:
        """A key of the mutated program, None if it does not compile or is the original.

        Two mutations of the source with one key are one program. A mutant with a syntax warning
        that the original has not is taken as not compiling.
        """
        unit = self._unit.smallest(edits)
        if unit not in self._originals:
            original = self._digest(unit, ())
            if original is None:
                self._lenient.add(unit)
                original = self._digest(unit, ())
            self._originals[unit] = original
        mutant = self._digest(unit, edits)
        if mutant is None or mutant == self._originals[unit]:
            return None
        return unit.start, unit.end, mutant

    def _digest(self, unit: Unit, edits: Sequence[Edit]) -> bytes | None:
        moved = [Edit(e.start - unit.start, e.end - unit.start, e.text) for e in edits]
        piece = applied(self._data[unit.start : unit.end], moved)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if unit not in self._lenient:
                warnings.simplefilter("error", SyntaxWarning)
            code = compiled(unit.header + piece, self._flags)
        return digest(code) if code else None


def _with_parts(
    source: Source, unit: Unit, statements: Sequence[cst.CSTNode], header: bytes
) -> Unit:
    starts = [source.line_start(source.span(statement)[0]) for statement in statements]
    ends = [*starts[1:], unit.end]
    parts = tuple(
        _statement(source, Unit(start, end, header), statement)
        for statement, start, end in zip(statements, starts, ends, strict=True)
    )
    return Unit(unit.start, unit.end, unit.header, parts, tuple(starts))


def _statement(source: Source, unit: Unit, statement: cst.CSTNode) -> Unit:
    if (
        not isinstance(statement, cst.ClassDef)
        or not isinstance(statement.body, cst.IndentedBlock)
        or statement.type_parameters
        or any(_declares(inner) for inner in statement.body.body)
    ):
        return unit
    body = statement.body.body
    indent = source.data[unit.start : source.span(statement)[0]]
    start = source.span(body[0])[0]
    inner = source.data[source.line_start(start) : start]
    header = unit.header + b"%sclass %s:\n%spass\n" % (indent, statement.name.value.encode(), inner)
    return _with_parts(source, unit, body, header)


def _declares(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and any(
        isinstance(small, (cst.Global, cst.Nonlocal)) for small in statement.body
    )
