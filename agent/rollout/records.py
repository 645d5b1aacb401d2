"""The records of a rollout: what is sampled, and batches written down as they come."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.config import Settings
from agent.tasks.journal import Journal
from agent.workers.folder import held

SOLVED = 1.0
"""The reward from which on a trajectory solves its task."""

STORE, BATCHES, GOLD = "experience.db", "batches.jsonl", "gold.jsonl"


class Plan(BaseModel):
    """What is sampled. A folder belongs to one plan, whose model is one version of a policy.

    With `known_places`, holes are filled in where the known fix of the task does it. When it is
    `even`, every task has the same number of samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks_sha256: str
    samples: int
    settings: Settings
    known_places: bool = False
    even: bool = False


class Batch(BaseModel):
    """Samples of a task, drawn in one run. Seconds are wall time.

    Of the `samples` that were asked for, `attempts` began before time or tokens ran out; `solved`
    says of each scored one whether it solved the task, `right` the same of each scored answer where
    the place is known. `trajectories` are the scored ones, siblings of infilling groups included;
    `unscored` counts the others by reason. `error` says why there is no run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance_id: str
    batch: int
    samples: int
    trajectory: str = ""
    attempts: int = 0
    solved: tuple[bool, ...] = ()
    right: tuple[bool, ...] = ()
    trajectories: int = 0
    unscored: Mapping[str, int] = {}
    tampered: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    model_seconds: float = 0.0
    test_seconds: float = 0.0
    overhead_seconds: float = 0.0
    error: str = ""


class Folder:
    """The store of a rollout and its batches: one line each, so that a killed run goes on."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path, self.plan = path, plan
        self.store = path / STORE
        self.batches = Journal(path / BATCHES, Batch)

    def open(self) -> AbstractContextManager[None]:
        """Hold the folder for a run: it is made, or holds this rollout. Raises AgentError."""
        return held(self.path, self.plan, "agent rollout")

    def done(self) -> list[Batch]:
        """The batches that were drawn; those that failed are drawn again."""
        return [batch for batch in self.batches.rows() if not batch.error]
