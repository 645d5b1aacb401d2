"""Attempts at one task: greedy first, then samples, until the verifier accepts one.

Rollouts explore: all attempts are samples, and the first that is accepted is not the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agent.attempt import Attempt
from agent.config import Settings, Strategy
from agent.context.brief import Brief
from agent.context.evidence import Evidence
from agent.infill import Infill
from agent.loop import Loop
from agent.search import Search
from agent.session import Session
from agent.status import BudgetSpent
from agent.task import Budget
from agent.verify.outcomes import passed
from agent.verify.verifier import Verdict, Verifier
from agent.workspace import Workspace
from policies.base import ContextOverflow, Policy
from policies.experience.events import AttemptEnded, Judged
from tools.sandbox.base import Sandbox
from tools.testing.results import TestRun

ASKED: tuple[Strategy, ...] = ("infill", "conversation")


@dataclass(frozen=True)
class Attempts:
    """What came of all attempts: the best verdict, if a patch got that far, and why they ended.

    `rivals` are those of the attempt that was verified.
    """

    verdict: Verdict | None
    count: int
    reason: str
    rivals: int | None = None


def attempt_all(
    session: Session,
    policy: Policy,
    sandbox: Sandbox,
    workspace: Workspace,
    brief: Brief,
    evidence: Evidence,
    verifier: Verifier,
    settings: Settings,
    budget: Budget,
) -> Attempts:
    """Sample attempts until one is verified or the budget is spent; all of them to explore.

    On two cores the engine is compute-bound, so attempts are drawn one after the other and
    share the prompt's KV cache: an attempt that is not needed costs nothing.
    """
    verdicts: list[Verdict] = []
    seen: dict[str, TestRun] = {}
    judged: set[str] = set()
    base = sandbox.snapshot()
    for number in range(settings.samples):
        sandbox.restore(base)
        shared = {
            "session": session,
            "policy": policy,
            "sandbox": sandbox,
            "workspace": workspace,
            "brief": brief,
            "targets": verifier.targets,
            "passing": passed(verifier.baseline),
            "settings": settings,
            "budget": budget,
            "number": number,
            "seen": seen,
        }
        attempt = _attempt(policy, evidence, number, shared)
        if attempt is None:
            return Attempts(select(verdicts), number, f"{number} attempts failed")
        try:
            diff = attempt.run()
        except ContextOverflow as full:
            session.emit(AttemptEnded(reason=str(full), attempt=number, round=attempt.round))
            continue
        except BudgetSpent as spent:
            session.emit(AttemptEnded(reason=str(spent), attempt=number, round=attempt.round))
            return Attempts(select(verdicts), number + 1, str(spent))
        for found in solutions(attempt, diff):
            if found in judged:
                continue
            judged.add(found)
            verdict = judge(session, verifier, found, budget, number)
            if verdict.verified and not settings.explore:
                return Attempts(verdict, number + 1, "verified", attempt.rivals)
            verdicts.append(verdict)
    return Attempts(select(verdicts), settings.samples, f"{settings.samples} attempts failed")


def solutions(attempt: Attempt, diff: str | None) -> Iterator[str]:
    """What an attempt found, then whatever else of it solves the task."""
    if diff is not None:
        yield diff
        with suppress(BudgetSpent):
            yield from attempt.others()


def _attempt(
    policy: Policy, evidence: Evidence, number: int, shared: dict[str, Any]
) -> Attempt | None:
    """The attempt of this number; None when no strategy is left."""
    settings: Settings = shared["settings"]
    found = ("conversation", number) if policy.calls_tools else turn_of(settings, number)
    if found is None:
        return None
    strategy, turn = found
    shared = {**shared, "temperature": temperature(settings, turn)}
    if strategy == "conversation":
        return Loop(**shared)
    if strategy == "search":
        return Search(**shared, evidence=evidence)
    return Infill(**shared, evidence=evidence, turn=turn)


def turn_of(settings: Settings, number: int) -> tuple[Strategy, int] | None:
    """What attempt `number` of a small model does, and how many of its kind went before.

    A search comes first; then it is asked in turn to fill in what may be missing, and to converse.
    """
    if "search" in settings.strategies:
        if number == 0:
            return "search", 0
        number -= 1
    asked = [name for name in ASKED if name in settings.strategies]
    if not asked:
        return None
    turn, place = divmod(number, len(asked))
    return asked[place], turn


def temperature(settings: Settings, turn: int) -> float:
    """Of the conversations the first is greedy; the next are warmer and warmer, four at a time.
    Infilling takes the same, but never so little that its samples are alike. To explore, all are
    drawn from one distribution.
    """
    if settings.explore:
        return settings.temperature
    return 0.0 if turn == 0 else settings.temperature + 0.1 * ((turn - 1) % 4)


def judge(session: Session, verifier: Verifier, diff: str, budget: Budget, attempt: int) -> Verdict:
    """Have a patch verified, and record the verdict."""
    verdict = verifier.judge(diff)
    if verdict.run is not None:
        budget.test_seconds += verdict.test_seconds
        session.record_tests("verification", verdict.run, attempt=attempt, phase="verify")
    session.emit(
        Judged(
            verified=verdict.verified,
            reasons=verdict.reasons,
            findings=verdict.findings,
            suspicions=verdict.suspicions,
            rewards=dict(verdict.rewards),
            fixed=verdict.fixed,
            broken=verdict.broken,
            diff_sha256=verdict.digest,
            seconds=verdict.seconds,
            attempt=attempt,
            phase="verify",
        )
    )
    return verdict


def select(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The best of several patches: verified, most fixed, least broken, smallest diff."""
    clean = [verdict for verdict in verdicts if verdict.files and not verdict.findings]
    return min(
        clean,
        key=lambda v: (not v.verified, -len(v.fixed), len(v.broken), len(v.diff)),
        default=None,
    )
