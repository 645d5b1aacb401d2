"""How a run of solving ended, and all that there is to tell of it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.status import Status
from agent.task import Budget
from agent.verify.verifier import Verdict
from policies.experience.events import Applied, Located
from tools.sandbox.base import File
from tools.testing.results import TestRun


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `verdict` is None when no patch got as far as the verifier.

    `reproduction` is the test that the policy wrote from the issue, where it had to, and `votes`
    says how many of all the tests that it wrote so the patch passes, and how many these are.
    `rivals` counts other small edits that pass the same tests and do something else, None where
    none was looked for. `located` are the suspects, None where none was looked for.
    """

    status: Status
    message: str
    trajectory: str
    verdict: Verdict | None = None
    before: TestRun | None = None
    targets: tuple[str, ...] = ()
    attempts: int = 0
    budget: Budget | None = None
    applied: Applied | None = None
    hint: str = ""
    reproduction: File | None = None
    votes: tuple[int, int] | None = None
    rivals: int | None = None
    located: Located | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader of the patch should look at."""
        noted = self.verdict.suspicions if self.verdict else ()
        if not self.rivals:
            return noted
        edits = "edit passes" if self.rivals == 1 else "edits pass"
        told = f"{self.rivals} other small {edits} the same tests: one more test would decide"
        return (*noted, told)
