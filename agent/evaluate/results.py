"""What came of each sample of each task: the rows of an evaluation."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from agent.tasks.instance import Variant


class Failure(StrEnum):
    """Why a sample did not solve its task, by the scorer and by how the run ended."""

    SOLVED = "solved"
    FALSE_CLAIM = "claimed, but wrong"
    WRONG = "wrong patch"
    REGRESSION = "breaks other tests"
    TAMPERED = "tampers with tests"
    BY_HEART = "fails held-out tests"
    NOT_APPLICABLE = "patch does not apply"
    NO_PATCH = "no patch"
    OUT_OF_TIME = "out of time"
    OUT_OF_TOKENS = "out of tokens"
    ENVIRONMENT = "environment"
    CRASHED = "crashed"


class Run(BaseModel):
    """A run of the agent on a task: which sample, where it is recorded, what it took."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance_id: str
    sample: int
    trajectory: str = ""
    attempts: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    model_seconds: float = 0.0
    test_seconds: float = 0.0


class Result(Run):
    """One sample of one task, scored. Seconds are wall time; `resolved` is None if unscored.

    `claimed`: the agent itself called its patch verified. `score_test_seconds`: the tests of the
    scorer. `overhead_seconds`: what a sample of the agent took beside its run and these tests;
    0 for given predictions.
    """

    model: str
    variant: Variant
    repo: str
    family: str
    resolved: bool | None
    claimed: bool
    failure: Failure
    reason: str = ""
    status: str = ""
    score_test_seconds: float = 0.0
    overhead_seconds: float = 0.0
