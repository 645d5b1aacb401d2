"""What `agent fix --json` prints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.documents import Document, Part
from agent.status import Status


class CheckReport(Part):
    """One check on what was staged, before any fix; `exit_code` is None when it was killed."""

    command: str
    passed: bool
    exit_code: int | None
    seconds: float
    output: str


class FixReport(Document):
    """`agent fix`: how it ended, and what was changed in `files`."""

    name: Literal["apprentice.fix"] = Field(default="apprentice.fix", alias="schema")
    version: Literal[1] = 1
    status: Status
    exit_code: int
    message: str
    hint: str
    checks: tuple[CheckReport, ...]
    files: tuple[str, ...]
    diff: str
    trajectories: tuple[str, ...]
    seconds: float
