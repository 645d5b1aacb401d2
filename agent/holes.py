"""Places of a definition that can be hidden and written anew: lines, and the gaps between them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from agent.actions import literal
from agent.task import Place
from tools.codemap import Symbol
from tools.repairs.edit import Edit

GAP_LINES = 6
MAX_KEPT = 120
MAX_LINE = 160
MAX_CHARACTERS = 6000
_REST = rf"[^\n`]{{0,{MAX_LINE}}}"
_LINE = re.compile(
    r"(?P<start>(?:(?:el)?if|while|return|for\s.+?\sin|with|assert|raise|yield)\s+"
    r"|[\w.\[\]\"', ]+?\s*(?:[-+*/|&%^]|//|\*\*|<<|>>)?=(?!=)\s*)?"
    r"(?P<middle>.*?)(?P<end>:?)"
)
_SKIPPED = re.compile(
    r"(def|class|async|@|#|//|else\b|try\b|finally\b|pass$|break$|continue$|[\W_]*$)"
)
_NO_GAP = re.compile(r"(el(if|se)|except|finally|def|class|async)\b|[@#)\]}]")


@dataclass(frozen=True)
class Hole:
    """A place of a symbol: line `number` of its text, from 0, or the `gap` in front of it.

    Of a line to be written anew, `start` and `end` stay, and `original` is what is there.
    """

    symbol: Symbol
    number: int
    margin: str
    original: str
    start: str = ""
    end: str = ""
    gap: bool = False

    @property
    def place(self) -> Place:
        """Where in the repository it is."""
        return self.symbol.path, self.symbol.start_line + self.number, self.gap

    def edit(self, source: bytes, written: str) -> Edit:
        """What puts the policy's lines into the hole."""
        line = self.symbol.start_line + self.number
        start = _line_start(source, line)
        end = start if self.gap else source.find(b"\n", start)
        end = len(source) if end < 0 else end
        end -= not self.gap and source[end - 1 : end] == b"\r"
        text = f"{written}\n" if self.gap else self.margin + written
        rule = "a line written anew" if not self.gap else "lines added"
        return Edit(self.symbol.path, start, end, text, self.symbol.id, rule, line, line)


def holes(symbol: Symbol, text: str) -> Iterator[Hole]:
    """The places of a definition that can be hidden: expressions, and the gaps between lines."""
    prose = _docstrings(text)
    inside = 0
    for number, line in enumerate(text.split("\n")):
        stripped = line.strip()
        margin = line[: len(line) - len(line.lstrip())]
        if not stripped or number in prose:
            continue
        whole = inside == 0
        inside += sum(stripped.count(c) for c in "([{") - sum(stripped.count(c) for c in ")]}")
        if whole and number and not _NO_GAP.match(stripped):
            yield Hole(symbol, number, margin, stripped, gap=True)
        match = _LINE.fullmatch(stripped)
        if _SKIPPED.match(stripped) or match is None or not match["middle"]:
            continue
        yield Hole(symbol, number, margin, stripped, match["start"] or "", match["end"])


def grammar(hole: Hole) -> str:
    """A GBNF grammar for a code block with another line, or with lines for a gap."""
    if hole.gap:
        line = rf"[ \t]* [^ \t\n`] {_REST}"
        margin = literal(hole.margin) if hole.margin else ""
        more = rf'("\n" {margin} {line}){{0,{GAP_LINES - 1}}}' if hole.margin else ""
        return rf'root ::= "```python\n" {margin} {line} {more} "\n```"'
    kept = hole.original[len(hole.start) : len(hole.original) - len(hole.end)]
    start, end = literal(f"```python\n{hole.start}"), literal(f"{hole.end}\n```")
    return f"root ::= {start} other0 {end}\n{_other_than(kept)}"


def admits(hole: Hole, written: str) -> bool:
    """Whether the grammar of a hole admits it."""
    lines = written.split("\n")
    if "`" in written or max(map(len, lines)) > MAX_LINE:
        return False
    if hole.gap:
        deep = all(line.startswith(hole.margin) and line.strip() for line in lines)
        return deep and len(lines) <= (GAP_LINES if hole.margin else 1)
    kept = written.removeprefix(hole.start).removesuffix(hole.end)
    whole = written == f"{hole.start}{kept}{hole.end}" and kept[:1] not in ("", " ")
    return whole and len(lines) == 1


def _other_than(text: str) -> str:
    """GBNF rules for any text of one line but this one; `other0` is the first of them.

    A text that begins as this one does may end before it, or go on.
    """
    rules = []
    for number, character in enumerate(text[:MAX_KEPT]):
        same = literal(character)
        shunned = f"\\x{ord(character):02X}" if character in "\\[]^-" else character
        first = " " if not number else ""
        differs = rf"[^\n`{first}{shunned}] {_REST}"
        rule = f"{differs} | {same} other{number + 1}"
        rules.append(f"other{number} ::= ({rule})?" if number else f"other{number} ::= {rule}")
    rules.append(rf"other{len(rules)} ::= [^\n`] {_REST}")
    return "\n".join(rules)


def _line_start(source: bytes, line: int) -> int:
    """The offset of a line, counted from 1."""
    at = 0
    for _ in range(line - 1):
        at = source.find(b"\n", at) + 1
    return at


def _docstrings(source: str) -> set[int]:
    """Line numbers of docstrings, from 0; none where the source is not Python."""
    try:
        tree = ast.parse(dedent(source))
    except (SyntaxError, ValueError):
        return set()
    return {
        number - 1
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
