"""Places of a definition that can be written anew: lines, the gaps between them, and its end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from textwrap import dedent

from agent.actions import literal
from agent.context.prompts import render
from agent.task import Place
from tools.codemap import Symbol
from tools.languages import name_of
from tools.repairs.edit import Edit

GAP_LINES = 6
MAX_KEPT = 120
MAX_LINE = 160
MAX_NESTED = 2
MAX_CHARACTERS = 6000
_BLANK = " \t"
_SPACE = ("", *_BLANK)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_MORE = rf"([^\r\n\t` ]|[ ][^\r\n\t` #]){{0,{MAX_LINE}}}"
"""What code may go on with, in GBNF and as a regular expression. It ends neither in space nor in a
comment, with which the line that stood there would be another one."""
_FIRST = r"[^\r\n\t` #]"
_LINE = re.compile(
    r"(?P<start>(?:(?:el)?if|while|return|for\s.+?\sin|with|assert|raise|yield)\s+"
    r"|[\w.\[\]\"', ]+?\s*(?:[-+*/|&%^]|//|\*\*|<<|>>)?=(?!=)\s*)?"
    r"(?P<middle>.*?)(?P<end>[:;]?)"
)
_COMMENT = re.compile(r"\s+#")
_SKIPPED = re.compile(
    r"(def|class|async|else|try|finally)\b|(function|fn|func|pub|export)\s+[\w({*]|[@#]|//"
    r"|(pass|break|continue)$|[\W_]*$"
)
_GOES_ON = r"(el(if|se)|except|finally)\b|[#)\]}]"
_NO_GAP = re.compile(rf"{_GOES_ON}|(def|class|async)\b|@")
_LEAVES = re.compile(r"(return|raise|throw)\b|panic!?\(")
_NO_START = re.compile(rf"{_GOES_ON}|//")


@dataclass(frozen=True)
class Hole:
    """A place of a symbol: line `number` of its text, from 0, or the `gap` in front of it.

    What is written has no `margin`. Of a line to be written anew, `start` and `end` stay, and
    `original` is what is there. A gap is between the lines `above` and `original`, empty at the end
    of the symbol: the first line that goes there is at most `deeper` times `step` deeper than
    `margin`. The place is as suspicious as line `beside` of the text.
    """

    symbol: Symbol
    number: int
    beside: int
    margin: str
    original: str
    start: str = ""
    end: str = ""
    gap: bool = False
    above: str = ""
    deeper: int = 0
    step: str = ""

    @property
    def fence(self) -> str:
        """The first line of a code block in its language."""
        return f"```{name_of(self.symbol.path)}\n"

    @property
    def kept(self) -> str:
        """What stands between `start` and `end`."""
        return self.original[len(self.start) : len(self.original) - len(self.end)]

    @property
    def place(self) -> Place:
        """Where in the repository it is."""
        return self.symbol.id, self.number, self.gap

    @property
    def judged_by(self) -> tuple[str, int]:
        """The path and the line whose suspicion it shares."""
        return self.symbol.path, self.symbol.start_line + self.beside

    def edit(self, source: bytes, written: str) -> Edit:
        """What puts the policy's lines into the hole."""
        start = _line_start(source, self.symbol.start_line + self.number)
        end = start if self.gap else source.find(b"\n", start)
        end = len(source) if end < 0 else end
        end -= not self.gap and source[end - 1 : end] == b"\r"
        text = "\n".join(self.margin + line for line in written.split("\n"))
        if self.gap:
            unended = start == len(source) and not source.endswith(b"\n")
            text = f"\n{text}" if unended else f"{text}\n"
        rule = "a line written anew" if not self.gap else "lines added"
        path, line = self.judged_by
        return Edit(path, start, end, text, self.symbol.id, rule, line, line)


def holes(symbol: Symbol, text: str) -> Iterator[Hole]:
    """The places of a definition that can be hidden: expressions, gaps between lines, its end."""
    python = name_of(symbol.path) == "python"
    statements = list(_statements(text, "([{" if python else "(["))
    step = _step([line for line in statements if line.whole])
    last = ""
    for line in statements:
        if line.whole and line.number and not _NO_GAP.match(line.code):
            yield Hole(
                symbol,
                line.number,
                line.number,
                line.margin,
                line.code,
                gap=True,
                above=line.above,
                deeper=max(0, len(last) - len(line.margin)) // len(step),
                step=step,
            )
        last = line.margin if line.whole else last
        comment = _comment(line.code)
        match = _LINE.fullmatch(line.code.removesuffix(comment))
        if _SKIPPED.match(line.code) or match is None or not match["middle"]:
            continue
        start, end = match["start"] or "", match["end"] + comment
        yield Hole(symbol, line.number, line.number, line.margin, line.code, start, end)
    if symbol.kind in ("function", "method"):
        yield from _end(symbol, text.rstrip(), statements, step)


@dataclass(frozen=True)
class _Line:
    """A line of code, the one above it, and whether a statement begins with it."""

    number: int
    margin: str
    code: str
    above: str
    whole: bool


def _statements(text: str, brackets: str) -> Iterator[_Line]:
    """The lines of a definition that are neither empty nor a docstring.

    A statement goes on while one of the `brackets` is open: those that hold no block.
    """
    prose = _docstrings(text)
    above = ""
    inside = 0
    for number, line in enumerate(text.split("\n")):
        code = line.strip()
        if code and number not in prose:
            margin = line[: len(line) - len(line.lstrip())]
            yield _Line(number, margin, code, above, inside == 0 and not above.endswith("\\"))
            inside += sum(code.count(c) - code.count(_CLOSING[c]) for c in brackets)
        above = code or above


def _end(symbol: Symbol, text: str, statements: Sequence[_Line], step: str) -> Iterator[Hole]:
    """The gap behind the last statement of a function, unless that one leaves it.

    It is as suspicious as the last statement at the margin of the body: a deeper one may stand in a
    branch that was not taken.
    """
    inside = _inside(symbol, text, statements)
    body = [line for line in inside if line.whole]
    if not body or (name_of(symbol.path) == "rust" and inside[-1].code[-1] not in ";}"):
        return
    margin = body[0].margin
    own = [line for line in body if line.margin == margin and not _NO_START.match(line.code)]
    if not own or _LEAVES.match(own[-1].code):
        return
    yield Hole(
        symbol,
        inside[-1].number + 1,
        own[-1].number,
        margin,
        "",
        gap=True,
        above=inside[-1].code,
        deeper=max(0, len(body[-1].margin) - len(margin)) // len(step),
        step=step,
    )


def _inside(symbol: Symbol, text: str, statements: Sequence[_Line]) -> list[_Line]:
    """The lines of a function's body; a docstring where that is all of it."""
    lines = text.split("\n")
    if name_of(symbol.path) != "python":
        *before, last = statements
        heads = [line.number for line in before if line.code.endswith("{")]
        if not heads or last.number != len(lines) - 1 or last.code[0] != "}":
            return []
        return [line for line in before if line.number > heads[0]]
    whole = (line.number for line in statements if line.whole and line.code[0] not in "@#")
    head = next(whole, len(lines))
    found = [line for line in statements if line.number > head]
    if any(line.whole for line in found):
        return found
    prose = _docstrings(text)
    return [
        _Line(number, line.partition(line.strip())[0], line.strip(), "", whole=True)
        for number, line in enumerate(lines)
        if number in prose and number > head and line.strip()
    ]


def _step(lines: Sequence[_Line]) -> str:
    """By what a definition indents its blocks: the first increase of a margin in it."""
    for outer, inner in pairwise(lines[1:]):
        if inner.margin != outer.margin and inner.margin.startswith(outer.margin):
            return inner.margin.removeprefix(outer.margin)
    margin = lines[1].margin if len(lines) > 1 else ""
    return "\t" if "\t" in margin else "  " if len(margin) % 4 else "    "


def _comment(code: str) -> str:
    """The comment at the end of a line of Python, with the space before it."""
    for match in _COMMENT.finditer(code):
        before = code[: match.start()]
        if not before.count("'") % 2 and not before.count('"') % 2:
            return code[match.start() :]
    return ""


def question(hole: Hole) -> str:
    """What a policy is asked, behind the definition."""
    return render("infill", hole=hole)


def grammar(hole: Hole) -> str:
    """A GBNF grammar for a code block with another line, or with lines for a gap."""
    shared = f"code ::= {_FIRST} more\nmore ::= {_MORE}"
    if hole.gap:
        first, later = (
            f"({literal(hole.step)}){{0,{deeper}}} code" if deeper else "code"
            for deeper in (hole.deeper, hole.deeper + MAX_NESTED)
        )
        more = rf'("\n" {later}){{0,{GAP_LINES - 1}}}'
        return f'root ::= {literal(hole.fence)} {first} {more} "\\n```"\n{shared}'
    start, end = literal(hole.fence + hole.start), literal(f"{hole.end}\n```")
    return f"root ::= {start} other0 {end}\n{_other_than(hole.kept, hole.end)}\n{shared}"


def admits(hole: Hole, written: str) -> bool:
    """Whether the grammar of a hole admits it."""
    if hole.gap:
        first, later = (
            f"({re.escape(hole.step)}){{0,{deeper}}}{_FIRST}{_MORE}"
            for deeper in (hole.deeper, hole.deeper + MAX_NESTED)
        )
        return re.fullmatch(rf"{first}(\n{later}){{0,{GAP_LINES - 1}}}", written) is not None
    middle = written.removeprefix(hole.start).removesuffix(hole.end)
    if written != f"{hole.start}{middle}{hole.end}":
        return False
    kept = hole.kept
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(middle, kept[:MAX_KEPT], strict=False))
    same = "".join(character for character, _ in pairs)
    rest = middle[len(same) :]
    spaced = same[-1:] in _SPACE
    if not rest:
        return same != kept and not spaced and len(same) < MAX_KEPT
    if same == kept and rest[0] == _first(hole.end):
        return False
    return re.fullmatch(_FIRST + _MORE if spaced else _MORE, rest) is not None


def _other_than(text: str, end: str) -> str:
    """GBNF rules for any text of one line but this one; `other0` is the first of them.

    A text that begins as this one does may end before it, or go on, but not with its `end`: a model
    that copies the line would write on behind it.
    """
    rules = []
    for number, character in enumerate(text[:MAX_KEPT]):
        begins = text[number - 1 : number] in _SPACE
        shunned = f"\\x{ord(character):02X}" if character in "\\[]^-" else character.strip(_BLANK)
        differs = rf"[^\r\n\t` {'#' if begins else ''}{shunned}] more"
        if not begins and character != " ":
            differs += ' | " " code'
        rule = f"{differs} | {literal(character)} other{number + 1}"
        rules.append(f"other{number} ::= {rule}" if begins else f"other{number} ::= ({rule})?")
    shunned = _first(end) if len(text) <= MAX_KEPT else ""
    if text[: len(rules)][-1:] in _SPACE:
        rules.append(rf"other{len(rules)} ::= [^\r\n\t` #{shunned}] more")
    else:
        rules.append(rf'other{len(rules)} ::= [^\r\n\t` {shunned}] more | " " code')
    return "\n".join(rules)


def _first(end: str) -> str:
    """The character that the kept end of a line begins with."""
    return end.lstrip()[:1]


def _line_start(source: bytes, line: int) -> int:
    """The offset of a line, counted from 1; of one behind the last, where the file ends."""
    at = 0
    for _ in range(line - 1):
        at = source.find(b"\n", at) + 1
        if not at:
            return len(source)
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
