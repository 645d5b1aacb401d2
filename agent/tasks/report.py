"""What making, mining and checking tasks comes to, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from agent.documents import Document, Part
from agent.tasks.instance import Instance
from agent.tasks.problems import Problem

if TYPE_CHECKING:
    from agent.tasks.make import Funnel


class Bugs(Part):
    """The bugs of one repository: how many were tried, kept, and what became of each.

    `flaky` and `failing` tests of the source are not relied on. Seconds are wall time.
    """

    repo: str
    tests: int
    flaky: tuple[str, ...]
    failing: tuple[str, ...]
    tried: int
    kept: int
    outcomes: dict[str, int]
    seconds: float
    test_seconds: float


class Made(Document):
    """`agent tasks make` and `agent tasks mine`.

    `output` and `sha256` (of the rows) are null when there is no task. `held_out`: tasks with
    held-out tests.
    """

    name: Literal["apprentice.tasks"] = Field(default="apprentice.tasks", alias="schema")
    version: Literal[1] = 1
    tasks: int
    output: str | None
    sha256: str | None
    held_out: int
    problems: tuple[Problem, ...]
    funnels: tuple[Bugs, ...]


class Checked(Document):
    """`agent tasks check`. `gold`: known fixes that solve their row; `base`: untouched bases."""

    name: Literal["apprentice.tasks_check"] = Field(
        default="apprentice.tasks_check", alias="schema"
    )
    version: Literal[1] = 1
    tasks: int
    gold: int
    base: int
    problems: tuple[Problem, ...]


def report(
    output: str,
    sha256: str,
    instances: Sequence[Instance],
    problems: Iterable[Problem],
    funnels: Iterable[Funnel],
) -> Made:
    """The report on tasks that were written to `output`, or on there being none."""
    return Made(
        tasks=len(instances),
        output=output if instances else None,
        sha256=sha256 if instances else None,
        held_out=sum(bool(instance.held_out_patch) for instance in instances),
        problems=tuple(problems),
        funnels=tuple(map(_bugs, funnels)),
    )


def _bugs(funnel: Funnel) -> Bugs:
    return Bugs(
        repo=funnel.repo,
        tests=funnel.tests,
        flaky=funnel.flaky,
        failing=funnel.failing,
        tried=funnel.tried,
        kept=funnel.kept,
        outcomes={str(name): count for name, count in sorted(funnel.outcomes.items())},
        seconds=round(funnel.seconds, 1),
        test_seconds=round(funnel.test_seconds, 1),
    )
