"""What is known of a bug before anything is tried: suspects, the tests that run them, and lines."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from agent.task import Place
from tools.codemap import Codemap, Symbol
from tools.sandbox.base import File, Sandbox
from tools.testing.detect import TestCommand
from tools.testing.results import TestRun
from tools.testing.screen import screen

MAX_RELATED = 60
RELATED_SECONDS = 2.0
MAX_PROBES = 5
TRACED_SUSPECTS = 40
TRACED_TESTS = 20
TRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Evidence:
    """The code, the suspects in it (best first, with scores), and a run with calls, if any.

    `scores` says how suspicious lines are, by path and number; empty when no lines were traced.
    `voters` are test files that the policy wrote from the issue, with the ids of their tests: they
    decide nothing by themselves. `place` is known to hold the fault.
    """

    codemap: Codemap
    files: Mapping[str, bytes]
    ranked: Sequence[tuple[str, float]]
    traced: TestRun
    scores: Mapping[tuple[str, int], float] = field(default_factory=dict)
    voters: Mapping[File, Sequence[str]] = field(default_factory=dict)
    place: Place | None = None

    @property
    def votes(self) -> tuple[str, ...]:
        """The ids of the tests of `voters`."""
        return tuple(test for tests in self.voters.values() for test in tests)

    @cached_property
    def callers(self) -> Mapping[str, Collection[str]]:
        """The tests that run a symbol, by the symbol's id."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for test, calls in self.traced.calls.items():
            for path, _, line in calls:
                symbol = self.codemap.at(path, line)
                if symbol is not None:
                    found[symbol.id].add(test)
        return found

    def suspects(self, limit: int) -> list[Symbol]:
        """The most suspicious symbols."""
        return [self.codemap.symbols[name] for name, _ in self.ranked[:limit]]

    def source(self, symbol: str) -> str:
        """The text of a definition as it was before anything was tried."""
        found = self.codemap.symbols[symbol]
        return found.text(self.files[found.path])

    def probes(self, targets: Sequence[str]) -> tuple[str, ...]:
        """A few of the failing tests: quick ones, of different functions where there are some."""
        run = self.traced
        quick = sorted(
            targets, key=lambda t: (run.outcomes.get(t) == "hung", run.durations.get(t, 0.0))
        )
        first: dict[str, str] = {}
        for test in quick:
            first.setdefault(test.split("[", 1)[0], test)
        return tuple(dict.fromkeys([*first.values(), *quick]))[:MAX_PROBES]

    def related(self, symbol: str, passing: Collection[str]) -> tuple[str, ...]:
        """Passing tests that run a symbol, quick ones first, as many as two seconds allow."""
        durations = self.traced.durations
        tests = [t for t in self.callers.get(symbol, ()) if t in passing]
        chosen, seconds = [], 0.0
        for test in sorted(tests, key=lambda t: (durations.get(t, 0.0), t))[:MAX_RELATED]:
            seconds += durations.get(test, 0.0)
            if seconds > RELATED_SECONDS:
                break
            chosen.append(test)
        return tuple(chosen)

    def seconds(self, tests: Collection[str]) -> float:
        """How long tests took together; one that hung counts nothing."""
        run = self.traced
        return sum(run.durations.get(t, 0.0) for t in tests if run.outcomes.get(t) != "hung")

    def line_scores(
        self, sandbox: Sandbox, command: TestCommand, targets: Sequence[str], seconds: float
    ) -> dict[tuple[str, int], float]:
        """How suspicious the lines of the suspects' files are: Ochiai over traced tests.

        Takes no more than `seconds`, and leaves the sandbox as it was.
        """
        before = sandbox.snapshot()
        probes = self.probes(targets)
        passing = frozenset(self.traced.passing)
        suspects = self.suspects(TRACED_SUSPECTS)
        others = {s.id: self.related(s.id, passing)[:TRACED_TESTS] for s in suspects}
        found = screen(
            sandbox,
            command,
            probes,
            others=others,
            lines={symbol.path for symbol in suspects},
            seconds=min(TRACE_SECONDS, seconds / 2),
            grace=seconds / 2,
        )
        sandbox.restore(before)
        failed: Counter[tuple[str, int]] = Counter()
        passed: Counter[tuple[str, int]] = Counter()
        for test, files in found.lines.items():
            places = [(path, line) for path, numbers in files.items() for line in numbers]
            (failed if test in probes else passed).update(places)
        total = sum(test in found.lines for test in probes)
        return {place: ochiai(count, passed[place], total) for place, count in failed.items()}


def ochiai(failing: int, passing: int, total: int) -> float:
    """Suspicion of what `failing` of `total` failing tests run, and `passing` passing ones.

    Abreu et al., "On the accuracy of spectrum-based fault localization", TAICPART-MUTATION 2007.
    """
    return failing / math.sqrt(total * (failing + passing)) if failing else 0.0
