"""What the client of a tool gets: a run without the long lists of its tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from agent.result import Ending, Result
from agent.status import Status


class Answer(Ending):
    """A run with its tests counted by outcome, before the patch and with it."""

    name: Literal["apprentice.answer"] = Field(default="apprentice.answer", alias="schema")
    version: Literal[1] = 1
    tests_before: dict[str, int]
    tests_after: dict[str, int]


def answer_of(result: Result) -> Answer:
    """The result with its tests counted."""
    shared = {name: getattr(result, name) for name in Ending.model_fields}
    shared |= {
        "name": "apprentice.answer",
        "version": 1,
        "tests_before": _counts(result.tests_before),
        "tests_after": _counts(result.tests_after),
    }
    return Answer.model_validate(shared)


def told(answer: Answer) -> str:
    """What the model of a client reads: the verdict in words, then all of it as JSON."""
    title = {
        Status.VERIFIED: "Verified fix.",
        Status.NOTHING_TO_DO: f"Nothing to do: {answer.message}",
        Status.UNVERIFIED: f"NOT verified: {answer.message}",
    }.get(answer.status, f"Not solved: {answer.message}")
    where = f" Applied to {answer.applied}: {', '.join(answer.files)}." if answer.applied else ""
    return f"{title}{where}\n{answer.line()}"


def structured(answer: Answer) -> dict[str, Any]:
    """The answer as JSON for the wire."""
    text = json.dumps(answer.model_dump(mode="json"), ensure_ascii=False)
    data: dict[str, Any] = json.loads(sendable(text))
    return data


def sendable(text: str) -> str:
    """The text without what UTF-8 cannot carry: odd bytes of a file's name become `?`."""
    return text.encode("utf-8", "replace").decode()


def _counts(outcomes: Mapping[str, str]) -> dict[str, int]:
    return dict(sorted(Counter(outcomes.values()).items()))
