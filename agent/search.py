"""An attempt by search: small edits of the suspects, tried in bulk; the policy chooses among those
that pass.

Tests are cheap beside tokens: while a small model writes one line, dozens of edits can be tried.
The policy is asked only which of the edits that the tests accept is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.trying import Trying
from agent.workspace import timed
from tools.codemap import Symbol, parse
from tools.repairs.edit import Edit
from tools.repairs.generate import edits as small_edits

SUSPECTS = 40
BATCH = 1500
SHARE = 0.4
PARTLY = 4
PARTLY_SHARE = 0.3
LOWEST = 0.05


@dataclass
class Search(Trying):
    """One attempt that needs no completion unless several edits pass."""

    def run(self) -> str | None:
        """Try edits until some pass, then pairs of edits of which the first helps.

        Raises BudgetSpent.
        """
        clock = timed()
        self.open_short()
        seconds = SHARE * self.budget.seconds_left
        base = self.sandbox.snapshot()
        files, scores = self.evidence.files, self.evidence.scores
        partly: list[Edit] = []
        waiting = self.ordered(files, scores)
        while waiting and (left := seconds - clock()) > 0:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            diff, helpful = self.first_that_solves(batch, base, left)
            if diff:
                return self.end("solved", diff)
            partly += helpful
            waiting = [*self.untold, *waiting]
        clock = timed()
        for edit in partly[:PARTLY]:
            left = PARTLY_SHARE * seconds - clock()
            if left <= 0:
                break
            more = {**files, edit.path: edit.applied(files[edit.path])}
            self.sandbox.write(edit.path, more[edit.path])
            second = self.ordered(more, shifted(scores, edit, files[edit.path]))[:BATCH]
            diff, _ = self.first_that_solves(second, base, left, edit)
            if diff:
                return self.end("solved", diff)
            self.sandbox.restore(base)
        return self.end("no small edit passes")

    def ordered(
        self, files: Mapping[str, bytes], scores: Mapping[tuple[str, int], float]
    ) -> list[Edit]:
        """The edits of all suspects in these files, likely ones first."""
        found: list[tuple[float, int, Edit]] = []
        parsed: dict[str, dict[str, Symbol]] = {}
        for place, (name, trust) in enumerate(self.evidence.ranked[:SUSPECTS]):
            path = self.evidence.codemap.symbols[name].path
            if path not in parsed:
                parsed[path] = {symbol.id: symbol for symbol in parse(path, files[path])}
            if name not in parsed[path]:
                continue
            for edit in small_edits(parsed[path][name], files[path]):
                lines = range(edit.first, edit.last + 1)
                seen = max((scores.get((path, line), 0.0) for line in lines), default=0.0)
                if seen or not scores:
                    found.append((edit.weight * max(seen or trust, LOWEST), place, edit))
        found.sort(key=lambda item: (-item[0], item[1]))
        return [edit for _, _, edit in found]


def shifted(
    scores: Mapping[tuple[str, int], float], edit: Edit, source: bytes
) -> dict[tuple[str, int], float]:
    """The scores of lines where these stand after an edit of `source`."""
    more = edit.text.count("\n") - source[edit.start : edit.end].count(b"\n")
    return {
        (path, line + more if path == edit.path and line > edit.last else line): score
        for (path, line), score in scores.items()
    }
