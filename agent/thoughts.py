"""Actions that change nothing: what the policy thinks, in a form that can be parsed."""

from __future__ import annotations

from pydantic import Field

from tools.base import Arguments, Observation, Tool
from tools.sandbox.base import Sandbox


class Plan(Arguments):
    """The suspected cause, in one line, and the symbol to change."""

    cause: str = Field(description="What is wrong, in one line.")
    symbol: str = Field(description="The symbol to change, as path::qualname.")


class Critique(Arguments):
    """What is wrong with the patch, in one line, and the symbol to change next."""

    mistake: str = Field(description="Why the tests still fail, in one line.")
    symbol: str = Field(description="The symbol to change next, as path::qualname.")


class Submit(Arguments):
    """Nothing to say: the tests decide."""


def _noted(_: Sandbox, __: Arguments) -> Observation:
    return Observation("noted")


PLAN = Tool("plan", "Name the cause of the bug and the symbol to change.", Plan, _noted)
CRITIQUE = Tool("critique", "Say why the tests still fail and what to change.", Critique, _noted)
SUBMIT = Tool("submit", "The change is complete: run the tests.", Submit, _noted)
