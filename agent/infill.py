"""An attempt by infilling: hide one expression after the other and have the policy write it anew.

A small model that sees a wrong line copies it. One that does not see it has to write what belongs
there. Each line is a prompt of its own behind a shared prefix, with a few short samples.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from agent.actions import Action
from agent.attempt import Attempt
from agent.context.prompts import render
from agent.workspace import timed
from policies.base import Constraint, Message, Sampling
from tools.edit import EDIT_SYMBOL

MASK = "<MISSING>"
SAMPLES_PER_LINE = 3
MAX_LINES = 30
LINE_TOKENS = 80
_LINE = re.compile(
    r"(?P<start>(?:(?:el)?if|while|return|for\s.+?\sin|with|assert|raise|yield)\s+"
    r"|[\w.\[\]\"', ]+?\s*(?:[-+*/|&%^]|//|\*\*|<<|>>)?=(?!=)\s*)?"
    r"(?P<middle>.*?)(?P<end>:?)"
)
_SKIPPED = re.compile(
    r"(def|class|async|@|#|//|else\b|try\b|finally\b|pass$|break$|continue$|[\W_]*$)"
)


@dataclass(frozen=True)
class Hole:
    """A line of a symbol with its expression taken out: `number` counts from 0."""

    number: int
    margin: str
    start: str
    end: str
    original: str

    def filled(self, lines: list[str], line: str) -> str:
        """The symbol's text with this line put in."""
        return "\n".join([*lines[: self.number], self.margin + line, *lines[self.number + 1 :]])


@dataclass
class Infill(Attempt):
    """An attempt that rewrites one expression of `symbol`; each line is a round."""

    symbol: str = ""

    def run(self) -> str | None:
        """Fill hole after hole until the tests pass; returns the diff. Raises BudgetSpent."""
        source = self.brief.sources[self.symbol]
        lines = source.splitlines()
        base = self.sandbox.snapshot()
        for role, text in (("system", self.brief.infill_system), ("user", self.brief.infill_task)):
            message = Message.model_validate({"role": role, "content": text})
            self.session.prompt(message, attempt=self.number, round=None, phase="edit")
        for self.round, hole in enumerate(holes(source)):
            masked = hole.filled(lines, f"{hole.start}{MASK}{hole.end}")
            self.say(render("infill", symbol=self.symbol, source=masked), "edit")
            for line in self.fill(hole):
                action = Action(
                    EDIT_SYMBOL.name, {"symbol": self.symbol, "code": hole.filled(lines, line)}
                )
                if not self.act(action, [EDIT_SYMBOL], "edit", teach=False).ok:
                    continue
                diff = self.sandbox.diff(base)
                if diff not in self.seen and self.solved(self.test(diff)):
                    return self.end("solved", diff)
                self.sandbox.restore(base)
        return self.end("no line alone mends it")

    def fill(self, hole: Hole) -> list[str]:
        """Distinct lines for a hole that differ from what stood there."""
        self.budget.check()
        sampling = Sampling(
            temperature=max(self.temperature, 0.6),
            top_p=0.95,
            max_tokens=LINE_TOKENS,
            seed=self.settings.seed + 1000 * self.number + 10 * self.round,
        )
        limit = Constraint(grammar=_grammar(hole))
        messages = self.session.messages(self.number, self.round)
        clock = timed()
        completions = self.policy.sample(messages, SAMPLES_PER_LINE, sampling, limit, self.progress)
        seconds = clock()
        found: list[str] = []
        for completion in completions:
            self.budget.charge(completion.usage, seconds / len(completions))
            group = f"{self.number}.{self.round}"
            self.session.record(completion, sampling, limit, group=group, **self.tags("edit"))
            line = completion.text.removeprefix("```python\n").removesuffix("\n```").strip()
            if completion.finish_reason == "stop" and line not in (*found, hole.original):
                found.append(line)
        return found


def holes(source: str) -> Iterator[Hole]:
    """The lines of a definition whose expression can be hidden, at most MAX_LINES."""
    prose = _docstrings(source)
    count = 0
    for number, line in enumerate(source.splitlines()):
        stripped = line.strip()
        if not stripped or number in prose or _SKIPPED.match(stripped) or count == MAX_LINES:
            continue
        match = _LINE.fullmatch(stripped)
        if match is None or not match["middle"]:
            continue
        count += 1
        margin = line[: len(line) - len(line.lstrip())]
        yield Hole(number, margin, match["start"] or "", match["end"], stripped)


def _grammar(hole: Hole) -> str:
    start, end = (text.replace("\\", "\\\\").replace('"', '\\"') for text in (hole.start, hole.end))
    return f'root ::= "```python\\n{start}" [^ \\n`] [^\\n`]{{0,160}} "{end}\\n```"'


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
