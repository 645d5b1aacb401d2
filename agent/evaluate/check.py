"""Whether rows are tasks: the known fix solves them, and the untouched base does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.config import Settings
from agent.evaluate.score import score
from agent.status import AgentError
from agent.tasks.instance import Instance
from tools.sandbox.base import SandboxError
from tools.testing.results import TestEnvironmentError


@dataclass(frozen=True)
class Checked:
    """A row with what solves it. `problem` is empty when it is a task."""

    instance_id: str
    gold: bool = False
    base: bool = False
    problem: str = ""


def check_all(instances: Sequence[Instance], settings: Settings, jobs: int) -> Iterator[Checked]:
    """Each row, in order, `jobs` at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(check, instance, settings) for instance in instances]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def check(instance: Instance, settings: Settings) -> Checked:
    """Score the known fix and no fix."""
    try:
        gold = score(instance, instance.patch, settings)
        base = score(instance, "", settings)
    except (AgentError, SandboxError, TestEnvironmentError) as error:
        return Checked(instance.instance_id, problem=str(error))
    problem = ""
    if not gold.resolved:
        problem = f"the known fix does not solve it: {gold.reason}"
    elif base.resolved or base.fixed or base.broken:
        problem = "the untouched base does not fail as the row says"
    return Checked(instance.instance_id, bool(gold.resolved), bool(base.resolved), problem)
