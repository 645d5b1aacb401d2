"""How a run ended, as plain data: what scripts, editors and `agent solve --json` get."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.documents import Document, Part
from agent.outcome import Outcome
from agent.status import Status
from agent.verify.verifier import Verdict
from policies.base import Usage
from policies.experience.events import Basis

SUSPECTS = 5


class Judgement(Part):
    """What the verifier saw of a patch.

    `reasons`: why it is not verified. `findings`: attempts on the tests themselves. `suspicions`:
    what a reader should look at, which decides nothing. `fixed` and `broken`: test ids. `rewards`:
    named components, null where one could not be scored.
    """

    verified: bool
    reasons: tuple[str, ...]
    findings: tuple[str, ...]
    suspicions: tuple[str, ...]
    fixed: tuple[str, ...]
    broken: tuple[str, ...]
    rewards: dict[str, float | None]


class Ending(Document):
    """What every report on a run says. Times are wall seconds.

    `verified` is true for a patch that passed the verifier on more than a test of the policy's
    own. `diff` is the patch, verified or not ('' for none), `applied` where it went (null: nowhere)
    and `files` what was written there. `targets` are the tests that had to turn green. How sure it
    is: `rivals` counts other small edits that were seen to pass the same tests and not seen to do
    the same (null: none were looked for); `votes` says how many of the test files that the policy
    wrote from the issue pass with the patch, of how many (null: it had to write none, wrote one, or
    the patch was refused).
    """

    status: Status
    exit_code: int
    verified: bool
    message: str
    hint: str
    trajectory: str
    attempts: int
    targets: tuple[str, ...]
    diff: str
    verdict: Judgement | None
    applied: str | None
    files: tuple[str, ...]
    rivals: int | None
    votes: tuple[int, int] | None
    seconds: float
    model_seconds: float
    test_seconds: float
    tokens: Usage


class Result(Ending):
    """A run with the outcome of every test by its id, before the patch and with it.

    `suspects` are the most suspicious symbols with their scores, best first, and `located_by` says
    what they rest on: `tests` (what failing tests run; the surest), `frames` (where they fail) or
    `words` (of the issue alone); null where none was looked for.
    """

    name: Literal["apprentice.result"] = Field(default="apprentice.result", alias="schema")
    version: Literal[1] = 1
    tests_before: dict[str, str]
    tests_after: dict[str, str]
    located_by: Basis | None
    suspects: tuple[tuple[str, float], ...]


def result_of(outcome: Outcome) -> Result:
    """The result of a run."""
    verdict, budget, applied = outcome.verdict, outcome.budget, outcome.applied
    return Result(
        status=outcome.status,
        exit_code=outcome.status.exit_code,
        verified=outcome.status is Status.VERIFIED,
        message=outcome.message,
        hint=outcome.hint,
        trajectory=outcome.trajectory,
        attempts=outcome.attempts,
        targets=outcome.targets,
        diff=_text(verdict.diff) if verdict else "",
        verdict=_judgement(verdict) if verdict else None,
        applied=applied.target if applied else None,
        files=applied.files if applied else (),
        rivals=outcome.rivals,
        votes=outcome.votes,
        seconds=round(budget.elapsed, 3) if budget else 0.0,
        model_seconds=round(budget.model_seconds, 3) if budget else 0.0,
        test_seconds=round(budget.test_seconds, 3) if budget else 0.0,
        tokens=budget.usage if budget else Usage(),
        tests_before=dict(outcome.before.outcomes) if outcome.before else {},
        tests_after=dict(verdict.after) if verdict else {},
        located_by=outcome.located.on if outcome.located else None,
        suspects=outcome.located.symbols[:SUSPECTS] if outcome.located else (),
    )


def _judgement(verdict: Verdict) -> Judgement:
    return Judgement(
        verified=verdict.verified,
        reasons=verdict.reasons,
        findings=verdict.findings,
        suspicions=verdict.suspicions,
        fixed=verdict.fixed,
        broken=verdict.broken,
        rewards=dict(verdict.rewards),
    )


def _text(diff: str) -> str:
    return diff.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
