"""An attempt by infilling: point at one place after the other and have the policy write it anew.

A small model that sees a wrong line copies it. Here it cannot: the grammar admits every line but
the one that stands there, so that its own probabilities say where to differ. A place is a line, the
gap in front of one, or the end of a definition. Each takes a few short samples behind a prefix that
all share, and a place that is known, which an attempt has alone, a group of eight; what they
propose is tried in bulk.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.context.prompts import render
from agent.holes import MAX_CHARACTERS, Hole, grammar, holes, question
from agent.trying import Trying
from agent.workspace import timed
from policies.base import Constraint, ContextOverflow, Message, Sampling
from policies.experience.redact import redact
from tools.codemap import Symbol
from tools.fingerprint import fingerprint
from tools.languages import name_of
from tools.repairs.edit import Edit

SAMPLES_PER_HOLE, SAMPLES_OF_KNOWN = 3, 8
HOLES_A_ROUND = 4
LINE_TOKENS, GAP_TOKENS = 80, 120
SUSPECTS = 10
GAP_WEIGHT = 0.7


@dataclass
class Infill(Trying):
    """An attempt at four holes a round, from a snapshot; `turn` counts the attempts before it."""

    turn: int = 0

    def run(self) -> str | None:
        """Fill hole after hole until the tests pass; returns the diff. Raises BudgetSpent."""
        base = self.sandbox.snapshot()
        self.open_short()
        chosen = self.chosen()
        shown: set[str] = set()
        asked = len(chosen)
        for first in range(0, len(chosen), HOLES_A_ROUND):
            edits: list[Edit] = []
            for self.round, hole in enumerate(chosen[first : first + HOLES_A_ROUND], first):
                if hole.symbol.id not in shown:
                    shown.add(hole.symbol.id)
                    self.show(hole.symbol)
                edits += self.fill(hole)
            if edits:
                self.round = asked
                diff, _ = self.first_that_solves(edits, base, self.budget.seconds_left)
                if diff:
                    return self.end("solved", diff)
                asked = self.round + 1
        self.budget.check()
        return self.end("no place alone mends it")

    def show(self, symbol: Symbol) -> None:
        """Add a definition to the prompt that this and all later holes share."""
        text = render("suspect", symbol=symbol.id, source=self.evidence.source(symbol.id))
        message = Message(role="user", content=text)
        self.session.prompt(message, attempt=self.number, round=None, phase="edit")

    def chosen(self) -> list[Hole]:
        """The holes of this attempt: the next most suspicious ones, or the one that is known.

        Behind the last of them the first come again: warmer, and with another seed.
        """
        place = self.evidence.place
        if place is None:
            every = self.suspected()
            count = min(HOLES_A_ROUND * self.settings.rounds, len(every))
            first = self.turn * count
            return [every[at % len(every)] for at in range(first, first + count)]
        symbol = self.evidence.codemap.symbols.get(place[0])
        found = holes(symbol, self.evidence.source(symbol.id)) if symbol is not None else ()
        return [hole for hole in found if hole.place == place and not _is_secret(hole)]

    def suspected(self) -> list[Hole]:
        """The holes of the suspects, in the order of their lines' suspicion."""
        scores = self.evidence.scores
        ranked: list[tuple[float, int, Hole]] = []
        for symbol in self.evidence.suspects(SUSPECTS):
            text = self.evidence.source(symbol.id)
            if len(text) > MAX_CHARACTERS:
                continue
            for hole in holes(symbol, text):
                score = scores.get(hole.judged_by, 0.0) if scores else 1.0
                if score and not _is_secret(hole):
                    ranked.append((score * (GAP_WEIGHT if hole.gap else 1.0), len(ranked), hole))
        return [hole for _, _, hole in sorted(ranked, key=lambda item: (-item[0], item[1]))]

    def fill(self, hole: Hole) -> list[Edit]:
        """Edits that put other lines into a hole; to explore, those that make other programs."""
        self.budget.check()
        self.say(question(hole), "edit")
        sampling = Sampling(
            temperature=max(self.temperature, 0.6),
            top_p=0.95,
            max_tokens=GAP_TOKENS if hole.gap else LINE_TOKENS,
            seed=self.settings.seed + 1000 * self.number + 10 * self.round,
        )
        limit = Constraint(grammar=grammar(hole))
        messages = self.session.messages(self.number, self.round)
        count = SAMPLES_OF_KNOWN if self.evidence.place else SAMPLES_PER_HOLE
        clock = timed()
        try:
            completions = self.policy.sample(messages, count, sampling, limit, self.progress)
        except ContextOverflow:
            return []
        seconds = clock()
        source = self.evidence.files[hole.symbol.path]
        found: dict[str, Edit] = {}
        for completion in completions:
            self.budget.charge(completion.usage, seconds / len(completions))
            group = f"{self.number}.{self.round}"
            self.session.record(completion, sampling, limit, group=group, **self.tags("edit"))
            written = completion.text.removeprefix(hole.fence).removesuffix("\n```").rstrip()
            whole = completion.finish_reason == "stop"
            if whole and written.strip():
                edit = hole.edit(source, written)
                same = program(edit, source) if self.settings.explore else edit.text
                edit = found.setdefault(same, edit)
                _, alike = self.answers.get(edit, (self.round, ()))
                if completion.text not in alike:
                    self.answers[edit] = self.round, (*alike, completion.text)
        return list(found.values())


def _is_secret(hole: Hole) -> bool:
    """Whether a secret stands there: the grammar, and so the store, would spell it out."""
    return not hole.gap and bool(redact(hole.original)[1])


def program(edit: Edit, source: bytes) -> str:
    """What tells an edit from those that surely make the same program of `source`."""
    python = name_of(edit.path) == "python"
    return (fingerprint(edit.applied(source)) if python else None) or edit.text
