"""What a failure of one repository or row is told as, while the others go on."""

from __future__ import annotations

from agent.documents import Part
from agent.status import AgentError
from policies.base import PolicyError
from tools.sandbox.base import SandboxError
from tools.testing.results import TestEnvironmentError

EXPECTED = (AgentError, PolicyError, SandboxError, TestEnvironmentError)


class Problem(Part):
    """What gave no task, or a row that does not hold: a repository, a commit or a row, and why."""

    where: str
    problem: str


def told(error: Exception) -> str:
    """What happened and what to do next; the kind as well where the error is not a known one."""
    text = str(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {error}"
    hint = getattr(error, "hint", "")
    return f"{text} ({hint})" if hint else text
