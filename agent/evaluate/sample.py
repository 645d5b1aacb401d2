"""One sample: the agent at work on a task, as `agent solve` would be."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.config import Settings
from agent.evaluate.results import Run
from agent.evaluate.score import environment_of
from agent.solve import solve
from agent.status import Status
from agent.task import Task, clean_issue
from agent.tasks.environment import with_environment
from agent.tasks.instance import Instance, Variant
from agent.tasks.tree import capture_of
from agent.workers.inside import Job
from agent.workers.policy import open_for
from agent.workspace import make_workspace
from policies.base import Policy
from policies.experience.store import Store

SEEDS_A_SAMPLE = 1000


class Prediction(Run):
    """What the agent made of a task: its patch ('' for none), and how the run ended.

    `spent` names what ran out, if something did.
    """

    patch: str
    status: Status
    message: str = ""
    spent: str = ""


def predict(
    instance: Instance,
    variant: Variant,
    sample: int,
    policy: Policy,
    store: Store,
    settings: Settings,
) -> Prediction:
    """Have the agent solve a task; sample numbers have seeds of their own. Raises AgentError.

    Where the failing tests are visible, it is told which of those that fail they are.
    """
    own = with_environment(settings, environment_of(instance))
    own = own.model_copy(update={"seed": settings.seed + SEEDS_A_SAMPLE * sample})
    capture = capture_of(instance, variant)
    targets = instance.fail_to_pass if variant == "visible" else ()
    patches: list[str] = []
    outcome = solve(
        Task(clean_issue(instance.problem_statement), capture, targets),
        policy,
        make_workspace(capture, own),
        store,
        own,
        deliver=lambda _, verdict: patches.append(verdict.diff),
    )
    budget = outcome.budget
    assert budget is not None
    return Prediction(
        instance_id=instance.instance_id,
        sample=sample,
        patch="".join(patches),
        status=outcome.status,
        message=f"{outcome.message}. {outcome.hint}".removesuffix(". "),
        trajectory=outcome.trajectory,
        spent=budget.exhausted,
        attempts=outcome.attempts,
        **budget.costs(),
    )


def open_jobs(settings: Settings, store: Path | None, stack: ExitStack) -> dict[str, Job]:
    """What a sampling process does, its model loaded. Raises PolicyError, StoreError."""
    policy, opened = open_for(settings, store, stack)

    def sample(instance: Instance, row: dict[str, Any], settings: Settings) -> dict[str, Any]:
        made = predict(instance, row["variant"], row["sample"], policy, opened, settings)
        return made.model_dump(mode="json")

    return {"predict": sample}
