"""A batch of samples of one task: a run that explores, and what its trajectories are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.config import Settings
from agent.evaluate.score import environment_of
from agent.rollout.gold import place_of
from agent.rollout.records import SOLVED, Batch
from agent.rollout.schedule import Draw
from agent.solve import solve
from agent.status import EnvironmentFailure, Status, UsageError
from agent.task import Task, clean_issue
from agent.tasks.environment import with_environment
from agent.tasks.heldout import held_out_files
from agent.tasks.instance import Instance
from agent.tasks.tree import capture_of
from agent.workers.inside import Job
from agent.workers.policy import open_for
from agent.workspace import make_workspace
from policies.base import Policy
from policies.experience.store import Store
from policies.learning.batch import Trajectory, trajectories
from policies.learning.rewards import RewardConfig
from policies.learning.siblings import TIMED_OUT

SEEDS_A_BATCH = 1_000_000
"""More than the seeds that the attempts of one run use."""

_ENDED = frozenset({Status.VERIFIED, Status.UNVERIFIED, Status.NOT_SOLVED})


def draw(
    instance: Instance,
    wanted: Draw,
    policy: Policy,
    store: Store,
    settings: Settings,
    *,
    known_places: bool = False,
) -> Batch:
    """Sample a task, with the verifier's reward for each trajectory.

    `settings` say what one sample may take. The targets are the tests that the task is about:
    another one, that fails whatever is done, makes no fix wrong. With `known_places`, only the hole
    that the known fix fills is filled in: at others nearly all samples fail alike, which teaches a
    relative baseline nothing. Raises AgentError when the run cannot be made.
    """
    own = with_environment(settings, environment_of(instance)).model_copy(
        update={
            "explore": True,
            "samples": wanted.samples,
            "seed": settings.seed + SEEDS_A_BATCH * wanted.batch,
            "timeout": settings.timeout * wanted.samples,
            "budget_tokens": settings.budget_tokens * wanted.samples,
        }
    )
    capture = capture_of(instance, "visible")
    issue, held_out = clean_issue(instance.problem_statement), held_out_files(instance)
    place = place_of(instance) if known_places else None
    if known_places and place is None:
        raise UsageError("its known fix fills no single place")
    targets = instance.fail_to_pass
    task = Task(issue, capture, targets, held_out=held_out, place=place)
    outcome = solve(task, policy, make_workspace(capture, own), store, own)
    if outcome.status not in _ENDED or outcome.budget is None:
        raise EnvironmentFailure(outcome.message, outcome.hint)
    found = trajectories(outcome.trajectory, store.events(outcome.trajectory), RewardConfig())
    budget = outcome.budget
    return Batch(
        instance_id=instance.instance_id,
        batch=wanted.batch,
        samples=wanted.samples,
        trajectory=outcome.trajectory,
        attempts=outcome.attempts,
        solved=solved_attempts(found),
        right=right_answers(found) if known_places else (),
        trajectories=sum(one.reward is not None for one in found),
        unscored=dict(Counter(one.why for one in found if one.reward is None)),
        tampered=sum(bool(one.components.get("tamper")) for one in found),
        **budget.costs(),
    )


def solved_attempts(found: Iterable[Trajectory]) -> tuple[bool, ...]:
    """Of each attempt with a scored trajectory, whether one of them solved the task.

    An attempt that ran out of time before it did says nothing.
    """
    attempts: dict[str, bool] = {}
    late: set[str] = set()
    for one in found:
        attempt = one.id.rpartition("/")[2].split(".", 1)[0]
        if one.reward is not None:
            attempts[attempt] = attempts.get(attempt, False) or one.reward >= SOLVED
        elif one.why == TIMED_OUT:
            late.add(attempt)
    return tuple(solved for name, solved in attempts.items() if solved or name not in late)


def right_answers(found: Iterable[Trajectory]) -> tuple[bool, ...]:
    """Of each scored answer, whether it solves the task."""
    rewards = (one.reward for one in found if not one.choice)
    return tuple(reward >= SOLVED for reward in rewards if reward is not None)


def open_jobs(settings: Settings, store: Path | None, stack: ExitStack) -> dict[str, Job]:
    """What a sampling process does, its model loaded. Raises PolicyError, StoreError."""
    policy, opened = open_for(settings, store, stack)

    def sampled(instance: Instance, row: dict[str, Any], settings: Settings) -> dict[str, Any]:
        wanted = Draw(instance.instance_id, row["batch"], row["samples"])
        known = row["known_places"]
        made = draw(instance, wanted, policy, opened, settings, known_places=known)
        return made.model_dump(mode="json", exclude={"error"})

    return {"draw": sampled}
