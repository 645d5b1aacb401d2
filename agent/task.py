"""What is to be solved, and what may be spent on it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from agent.repository import Capture
from agent.status import BudgetSpent, UsageError
from policies.base import OnProgress, Progress, Usage
from tools.sandbox.base import File

MAX_ISSUE_CHARACTERS = 12_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


Place = tuple[str, int, bool]
"""A line of a definition, by the definition's id and the line's number in it from 0, or (True) the
gap in front of it, which may be the definition's end."""


@dataclass(frozen=True)
class Task:
    """An issue in a captured repository. `targets` are test ids that the fix must turn green.

    A `patch` that is there already is judged, instead of one being sought. `held_out` are tests
    that nobody is shown, and that a fix must pass as well. `place` is where the fault is, for those
    who know: infilling is tried there alone.
    """

    issue: str
    capture: Capture
    targets: tuple[str, ...] = ()
    patch: str | None = None
    held_out: tuple[File, ...] = ()
    place: Place | None = None


def clean_issue(text: str) -> str:
    """The issue as plain text: no control, invisible or bidirectional characters, capped.

    Raises UsageError when nothing is left.
    """
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not text:
        raise UsageError("the issue is empty", 'Say what is wrong: agent solve "mean([]) crashes"')
    if len(text) > MAX_ISSUE_CHARACTERS:
        cut = len(text) - MAX_ISSUE_CHARACTERS
        text = f"{text[:MAX_ISSUE_CHARACTERS]}\n[... {cut} characters cut ...]"
    return text


class Costs(TypedDict):
    """What a run took, under the names that its records use."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float
    model_seconds: float
    test_seconds: float


@dataclass
class Budget:
    """Tokens and seconds that are left. Cached prompt tokens cost nothing."""

    tokens: int
    seconds: float
    started: float = field(default_factory=time.monotonic)
    model_seconds: float = 0.0
    test_seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)

    @property
    def elapsed(self) -> float:
        """Wall seconds since the start."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float:
        """Wall seconds until the deadline, never negative."""
        return max(0.0, self.seconds - self.elapsed)

    def charge(self, usage: Usage, seconds: float) -> None:
        """Book one request."""
        self.model_seconds += seconds
        self.usage = Usage(
            prompt=self.usage.prompt + usage.prompt,
            cached=self.usage.cached + usage.cached,
            completion=self.usage.completion + usage.completion,
        )

    def holding(self, show: OnProgress) -> OnProgress:
        """What reports to `show`, and raises BudgetSpent when tokens or seconds have run out."""

        def report(progress: Progress) -> None:
            show(progress)
            self.check()

        return report

    @property
    def exhausted(self) -> Literal["", "time", "tokens"]:
        """What has run out, if anything."""
        if self.seconds_left <= 0:
            return "time"
        spent = self.usage.prompt - self.usage.cached + self.usage.completion
        return "tokens" if spent >= self.tokens else ""

    def check(self) -> None:
        """Raise BudgetSpent when tokens or seconds have run out."""
        if self.exhausted == "time":
            raise BudgetSpent(f"the time limit of {self.seconds:.0f} s has passed")
        if self.exhausted == "tokens":
            raise BudgetSpent(f"the budget of {self.tokens} tokens is spent")

    def costs(self) -> Costs:
        """What has been spent until now."""
        return Costs(
            prompt_tokens=self.usage.prompt,
            cached_tokens=self.usage.cached,
            completion_tokens=self.usage.completion,
            seconds=self.elapsed,
            model_seconds=self.model_seconds,
            test_seconds=self.test_seconds,
        )
