"""How a run ends: one enum for every interface, and the exceptions that carry it."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The end of a run. `exit_code` is what the process returns.

    FIXED is that of `agent fix` when it has changed files: a hook then has to stop the commit.
    """

    VERIFIED = "verified"
    NOTHING_TO_DO = "nothing_to_do"
    FIXED = "fixed"
    UNVERIFIED = "unverified"
    NOT_SOLVED = "not_solved"
    USAGE = "usage"
    ENVIRONMENT = "environment"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        """The process exit code documented in the README."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Status.VERIFIED: 0,
    Status.NOTHING_TO_DO: 0,
    Status.FIXED: 1,
    Status.UNVERIFIED: 1,
    Status.NOT_SOLVED: 1,
    Status.USAGE: 2,
    Status.ENVIRONMENT: 3,
    Status.INTERRUPTED: 130,
}


class AgentError(Exception):
    """Something the user can mend: what happened, to what, and what to do next."""

    status = Status.ENVIRONMENT

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(AgentError):
    """The request itself is wrong (exit code 2)."""

    status = Status.USAGE


class EnvironmentFailure(AgentError):
    """The machine or the repository cannot serve the request (exit code 3)."""


class BudgetSpent(Exception):
    """Tokens or seconds have run out. The message says which."""
