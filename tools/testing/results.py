"""What a run of tests found, by test id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tools.sandbox.base import KilledBy

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "hung"]
FAILING: frozenset[Outcome] = frozenset({"failed", "error", "hung"})
PASSING: frozenset[Outcome] = frozenset({"passed", "xfailed", "xpassed"})

COLLECTION = " (collection)"
SESSION = "<session>"
COMMAND = "<command>"

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading records raises that code under test may have written."""


class TestEnvironmentError(Exception):
    """Tests cannot be run in this environment. The message says what to do."""

    __test__ = False


@dataclass(frozen=True)
class Frame:
    """A place in the workspace that a traceback passes through."""

    path: str
    line: int
    function: str


@dataclass(frozen=True)
class Failure:
    """Why a test did not pass. Frames go from the outermost call to where it was raised."""

    message: str
    longrepr: str = ""
    frames: tuple[Frame, ...] = ()
    exception: str = ""
    captured: str = ""


Call = tuple[str, str, int]
"""A function of the workspace: path, qualified name, first line (of its decorators, if any)."""


@dataclass(frozen=True)
class TestRun:
    """The outcome of one run.

    `complete` means that the runner came to its end and that each collected test has an outcome.
    `missing` are ids that were asked for and did not run; `missing_modules` could not be
    imported. `restarts` counts how often a test took the whole process down. `patched` tells what
    code of the workspace has replaced of that which decides results, and by which file:
    "builtins.len replaced by shop/prices.py"; and what such code does to find out about its test:
    "reads tests/test_prices.py: shop/prices.py".
    """

    __test__ = False

    outcomes: Mapping[str, Outcome]
    failures: Mapping[str, Failure]
    exit_code: int
    complete: bool
    seconds: float
    killed_by: KilledBy | None = None
    output: str = ""
    durations: Mapping[str, float] = field(default_factory=dict)
    calls: Mapping[str, frozenset[Call]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    missing_modules: tuple[str, ...] = ()
    restarts: int = 0
    patched: tuple[str, ...] = ()

    @property
    def failing(self) -> tuple[str, ...]:
        """Ids that failed, in the order in which they ran."""
        return tuple(i for i, outcome in self.outcomes.items() if outcome in FAILING)

    @property
    def passing(self) -> tuple[str, ...]:
        """Ids that passed, those expected to fail included."""
        return tuple(i for i, outcome in self.outcomes.items() if outcome in PASSING)

    @property
    def ok(self) -> bool:
        """The run is complete, something passed and nothing failed or is missing."""
        return self.complete and not self.missing and bool(self.passing) and not self.failing

    @property
    def summary(self) -> str:
        """One line: how many tests had which outcome."""
        counts = Counter(self.outcomes.values())
        parts = [f"{counts[o]} {o}" for o in _ORDER if counts[o]]
        if self.missing:
            parts.append(f"{len(self.missing)} missing")
        if not self.complete:
            parts.append(f"incomplete ({self.killed_by})" if self.killed_by else "incomplete")
        return f"{', '.join(parts) or 'no tests'} in {self.seconds:.1f} s"


_ORDER: tuple[Outcome, ...] = (
    "failed",
    "error",
    "hung",
    "passed",
    "skipped",
    "xfailed",
    "xpassed",
)
