"""An attempt by infilling: point at one place after the other and have the policy write it anew.

A small model that sees a wrong line copies it. Here it cannot: the grammar admits every line but
the one that stands there, so that its own probabilities say where to differ. A place is a line, or
the gap in front of one. Each takes a few short samples behind a prefix that all share; what they
propose is tried in bulk.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from agent.actions import literal
from agent.context.prompts import render
from agent.trying import CONFIRMED, Trying
from agent.workspace import timed
from policies.base import Constraint, ContextOverflow, Message, Sampling
from tools.codemap import Symbol
from tools.repairs.edit import Edit

SAMPLES_PER_HOLE = 3
HOLES = 16
HOLES_A_TRY = 4
LINE_TOKENS, GAP_TOKENS = 80, 120
GAP_LINES = 6
SUSPECTS = 10
MAX_CHARACTERS = 6000
MAX_KEPT = 120
GAP_WEIGHT = 0.7
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


@dataclass
class Infill(Trying):
    """An attempt at some of the holes of the suspects; `turn` counts the attempts before it."""

    turn: int = 0

    def run(self) -> str | None:
        """Fill hole after hole until the tests pass; returns the diff. Raises BudgetSpent."""
        base = self.sandbox.snapshot()
        self.open_short()
        chosen = self.holes()[self.turn * HOLES : (self.turn + 1) * HOLES]
        shown: set[str] = set()
        for first in range(0, len(chosen), HOLES_A_TRY):
            edits: list[Edit] = []
            for self.round, hole in enumerate(chosen[first : first + HOLES_A_TRY], first):
                if hole.symbol.id not in shown:
                    shown.add(hole.symbol.id)
                    self.show(hole.symbol)
                edits += self.fill(hole)
            if edits:
                self.round = HOLES + CONFIRMED * (first // HOLES_A_TRY)
                diff, _ = self.first_that_solves(edits, base, self.budget.seconds_left)
                if diff:
                    return self.end("solved", diff)
        return self.end("no place alone mends it")

    def show(self, symbol: Symbol) -> None:
        """Add a definition to the prompt that this and all later holes share."""
        text = render("suspect", symbol=symbol.id, source=self.evidence.source(symbol.id))
        message = Message(role="user", content=text)
        self.session.prompt(message, attempt=self.number, round=None, phase="edit")

    def holes(self) -> list[Hole]:
        """The holes of the suspects, in the order of their lines' suspicion."""
        scores = self.evidence.scores
        ranked: list[tuple[float, int, Hole]] = []
        for symbol in self.evidence.suspects(SUSPECTS):
            text = self.evidence.source(symbol.id)
            if len(text) > MAX_CHARACTERS:
                continue
            for hole in holes(symbol, text):
                place = (symbol.path, symbol.start_line + hole.number)
                score = scores.get(place, 0.0) if scores else 1.0
                if score:
                    ranked.append((score * (GAP_WEIGHT if hole.gap else 1.0), len(ranked), hole))
        return [hole for _, _, hole in sorted(ranked, key=lambda item: (-item[0], item[1]))]

    def fill(self, hole: Hole) -> list[Edit]:
        """Edits that put distinct lines into a hole, other than what stood there."""
        self.budget.check()
        text = render("infill", symbol=hole.symbol.id, line=hole.original, gap=hole.gap)
        self.say(text, "edit")
        sampling = Sampling(
            temperature=max(self.temperature, 0.6),
            top_p=0.95,
            max_tokens=GAP_TOKENS if hole.gap else LINE_TOKENS,
            seed=self.settings.seed + 1000 * self.number + 10 * self.round,
        )
        limit = Constraint(grammar=grammar(hole))
        messages = self.session.messages(self.number, self.round)
        clock = timed()
        try:
            completions = self.policy.sample(
                messages, SAMPLES_PER_HOLE, sampling, limit, self.progress
            )
        except ContextOverflow:
            return []
        seconds = clock()
        source = self.evidence.files[hole.symbol.path]
        found: dict[str, Edit] = {}
        for completion in completions:
            self.budget.charge(completion.usage, seconds / len(completions))
            group = f"{self.number}.{self.round}"
            self.session.record(completion, sampling, limit, group=group, **self.tags("edit"))
            written = completion.text.removeprefix("```python\n").removesuffix("\n```").rstrip()
            whole = completion.finish_reason == "stop"
            if whole and written.strip():
                edit = found.setdefault(written, hole.edit(source, written))
                self.rounds[edit] = self.round
        return list(found.values())


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
    if hole.gap:
        line = r"[ \t]* [^ \t\n`] [^\n`]{0,160}"
        more = rf'("\n" {literal(hole.margin)} {line}){{0,{GAP_LINES - 1}}}' if hole.margin else ""
        first = rf"{literal(hole.margin)} [^ \t\n`] [^\n`]{{0,160}}" if hole.margin else line
        return rf'root ::= "```python\n" {first} {more} "\n```"'
    kept = hole.original[len(hole.start) : len(hole.original) - len(hole.end)]
    start, end = literal(f"```python\n{hole.start}"), literal(f"{hole.end}\n```")
    return f"root ::= {start} other0 {end}\n{_other_than(kept)}"


def _other_than(text: str) -> str:
    """GBNF rules for any text of one line but this one; `other0` is the first of them."""
    rest = r"[^\n`]{0,160}"
    rules = []
    for number, character in enumerate(text[:MAX_KEPT]):
        same = literal(character)
        shunned = f"\\x{ord(character):02X}" if character in "\\[]^-" else character
        first = " " if not number else ""
        differs = rf"[^\n`{first}{shunned}] {rest}"
        rules.append(f"other{number} ::= {differs} | {same} other{number + 1}")
    rules.append(rf"other{len(rules)} ::= [^\n`] {rest}")
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
