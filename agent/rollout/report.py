"""What a rollout drew: as data, and as a table for people."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field
from rich.table import Table

from agent.documents import Document
from agent.evaluate.report import PassAtK, curve_of
from agent.evaluate.statistics import wilson
from agent.rollout.records import SOLVED, Batch
from agent.ui.tables import rich_table
from policies.experience.store import Store
from policies.learning.batch import Trajectory, grouped, read
from policies.learning.rewards import RewardConfig

STAGES = ("model", "tests", "rest")
SHOWN_K = (1, 8)


class Rolled(Document):
    """`agent rollout`: what lies in the folder. Rates are fractions, times wall seconds.

    A sample is an attempt; `attempts` counts the scored ones. `pass_rates` are by task, over
    its scored attempts; `pass_rate` is their mean with its 95 % interval. A trajectory is an
    attempt, or a sibling of an infilling group; `answers` counts these by task, the scored ones and
    those that solve it, and `pass_at` is over them, for k up to the fewest that were drawn of any
    task of which some were (where fewer are scored, over these). `groups` teach a relative baseline
    something; `left_out` counts the trajectories that do not, by reason. `failed` tasks could not
    be run. `per_hour`: scored trajectories in an hour of one process; `stages` are the shares of
    its time, of which the largest is what bounds it. `gold` counts the rows in `gold.jsonl`.
    """

    name: Literal["apprentice.rollout"] = Field(default="apprentice.rollout", alias="schema")
    version: Literal[1] = 1
    folder: str
    model: str
    tasks: int
    failed: dict[str, str]
    samples: int
    attempts: int
    solved: int
    trajectories: int
    solved_tasks: int
    tampered: int
    pass_rate: float
    low: float
    high: float
    pass_rates: dict[str, float]
    answers: dict[str, tuple[int, int]]
    pass_at: tuple[PassAtK, ...]
    unscored: dict[str, int]
    groups: int
    left_out: dict[str, int]
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float
    per_hour: float
    stages: dict[str, float]
    gold: int


def summarise(folder: str, model: str, batches: Sequence[Batch], store: Store, gold: int) -> Rolled:
    """Sum a rollout up. Raises LearningError where stored tokens do not fit together."""
    drawn = [batch for batch in batches if not batch.error]
    solved: defaultdict[str, list[bool]] = defaultdict(list)
    unscored: Counter[str] = Counter()
    for batch in drawn:
        solved[batch.instance_id] += batch.solved
        unscored.update(batch.unscored)
    rates = {task: sum(seen) / len(seen) for task, seen in solved.items() if seen}
    total = math.fsum(rates.values())
    low, high = wilson(total, len(rates))
    seconds = sum(batch.seconds + batch.overhead_seconds for batch in drawn)
    thinking = sum(batch.model_seconds for batch in drawn)
    tests = sum(batch.test_seconds for batch in drawn)
    stages = dict(zip(STAGES, (thinking, tests, max(0.0, seconds - thinking - tests)), strict=True))
    found = read(store, [batch.trajectory for batch in drawn], RewardConfig())
    groups = grouped(found, choices=False)
    answers, fewest = _answers(drawn, found)
    scored = sum(batch.trajectories for batch in drawn)
    return Rolled(
        folder=folder,
        model=model,
        tasks=len({batch.instance_id for batch in batches}),
        failed={batch.instance_id: batch.error for batch in batches if batch.error},
        samples=sum(batch.samples for batch in drawn),
        attempts=sum(map(len, solved.values())),
        solved=sum(map(sum, solved.values())),
        trajectories=scored,
        solved_tasks=sum(map(any, solved.values())),
        tampered=sum(batch.tampered for batch in drawn),
        pass_rate=total / len(rates) if rates else 0.0,
        low=low,
        high=high,
        pass_rates=dict(sorted(rates.items())),
        answers=answers,
        pass_at=curve_of(answers.values(), fewest, all_tasks=True),
        unscored=dict(sorted(unscored.items())),
        groups=len(groups.groups),
        left_out=dict(sorted(groups.left_out.items())),
        prompt_tokens=sum(batch.prompt_tokens for batch in drawn),
        cached_tokens=sum(batch.cached_tokens for batch in drawn),
        completion_tokens=sum(batch.completion_tokens for batch in drawn),
        seconds=seconds,
        per_hour=3600 * scored / seconds if seconds else 0.0,
        stages={name: spent / seconds if seconds else 0.0 for name, spent in stages.items()},
        gold=gold,
    )


def _answers(
    drawn: Sequence[Batch], found: Sequence[Trajectory]
) -> tuple[dict[str, tuple[int, int]], int]:
    """By task, the scored answers and those that solve it; and the fewest drawn of a task, where
    any were."""
    tasks = {batch.trajectory: batch.instance_id for batch in drawn}
    answers: dict[str, list[bool]] = {task: [] for task in tasks.values()}
    counts = Counter(dict.fromkeys(answers, 0))
    for one in found:
        if not one.choice:
            task = tasks[one.id.rpartition("/")[0]]
            counts[task] += 1
            answers[task] += [one.reward >= SOLVED] if one.reward is not None else []
    scored = {task: (len(seen), sum(seen)) for task, seen in sorted(answers.items())}
    return scored, min(filter(None, counts.values()), default=0)


def table(rolled: Rolled) -> Table:
    """The rollout in a dozen lines."""
    bound = max(rolled.stages, key=lambda stage: rolled.stages[stage])
    rows = {
        "tasks solved": f"{rolled.solved_tasks} of {rolled.tasks}",
        "attempts solved": f"{rolled.solved} of {rolled.attempts}",
        "mean pass rate": _interval(rolled.pass_rate, rolled.low, rolled.high),
        **{
            f"pass@{at.k} of an answer": _interval(at.estimate, at.low, at.high)
            for at in rolled.pass_at
            if at.k in SHOWN_K
        },
        "groups to learn from": f"{rolled.groups}",
        **{f"left out: {reason}": f"{count}" for reason, count in rolled.left_out.items()},
        "tampered": f"{rolled.tampered}",
        "tokens": f"{rolled.prompt_tokens - rolled.cached_tokens:,} in, "
        f"{rolled.completion_tokens:,} out",
        "trajectories an hour": f"{rolled.per_hour:.0f}, bound by {bound} "
        f"({_percent(rolled.stages[bound])})",
        "known fixes": f"{rolled.gold}",
    }
    shown: list[Mapping[str, str]] = [{"": name, " ": value} for name, value in rows.items()]
    return rich_table(f"Rollout of {rolled.model}", shown)


def _interval(rate: float, low: float, high: float) -> str:
    return f"{_percent(rate)} ({_percent(low)}–{_percent(high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
