"""What a set of tasks holds: where its repositories come from, how large and how hard it is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Literal

from pydantic import Field
from rich.console import Group

from agent.documents import Document, Part
from agent.tasks.instance import UNMEASURED, Instance, SplitName, project_of
from agent.ui.tables import markdown_table, rich_table
from agent.ui.text import printable

_SPLITS: tuple[SplitName, ...] = ("train", "dev", "heldout")
DIFFICULTIES = ("easy", "medium", "hard", "unsolved", UNMEASURED)
UNKNOWN = "unknown"
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class Repository(Part):
    """The tasks of one project, with all of its versions and licences among them."""

    name: str
    version: str
    licence: str
    split: SplitName
    tasks: int


class Card(Document):
    """A set of tasks in numbers. Medians are by task.

    `changed_lines`: added plus removed lines of the known fix. `statement_characters`: the length
    of the problem statement.
    """

    name: Literal["apprentice.card"] = Field(default="apprentice.card", alias="schema")
    version: Literal[1] = 1
    tasks: int
    splits: dict[SplitName, int]
    repositories: tuple[Repository, ...]
    families: dict[str, int]
    difficulties: dict[str, int]
    fail_to_pass: float
    changed_lines: float
    statement_characters: float


def difficulty_of(rate: float | None) -> str:
    """The bucket of a measured pass rate in [0, 1]. Raises ValueError outside of it.

    unsolved 0, hard up to 1/4, medium up to 3/4, easy above; unmeasured if there is no rate.
    """
    if rate is None:
        return UNMEASURED
    if not 0 <= rate <= 1:
        raise ValueError(f"a pass rate lies between 0 and 1, not at {rate}")
    if rate == 0:
        return "unsolved"
    if rate <= 0.25:
        return "hard"
    return "medium" if rate <= 0.75 else "easy"


def labelled(instances: Iterable[Instance], pass_rates: Mapping[str, float]) -> list[Instance]:
    """The tasks with the difficulty that was measured; the others stay as they are."""
    return [
        instance.model_copy(update={"difficulty": difficulty_of(pass_rates[instance.instance_id])})
        if instance.instance_id in pass_rates
        else instance
        for instance in instances
    ]


def make_card(instances: Sequence[Instance], pass_rates: Mapping[str, float] | None = None) -> Card:
    """Count what a set of tasks holds.

    Pass rates, by task, go before the difficulty that a task states itself; a word that is none
    of ours there counts as unmeasured. Raises ValueError for a rate outside [0, 1].
    """
    known = labelled(instances, pass_rates or {})
    hard = Counter(
        task.difficulty if task.difficulty in DIFFICULTIES else UNMEASURED for task in known
    )
    splits = Counter(task.split for task in instances)
    families = Counter(task.family or UNKNOWN for task in instances)
    return Card(
        tasks=len(instances),
        splits={name: splits[name] for name in _SPLITS if splits[name]},
        repositories=_repositories(instances),
        families=dict(sorted(families.items(), key=lambda item: (-item[1], item[0]))),
        difficulties={name: hard[name] for name in DIFFICULTIES if hard[name]},
        fail_to_pass=_median(len(task.fail_to_pass) for task in instances),
        changed_lines=_median(changed_lines(task.patch) for task in instances),
        statement_characters=_median(len(task.problem_statement) for task in instances),
    )


def _repositories(instances: Iterable[Instance]) -> tuple[Repository, ...]:
    projects: defaultdict[str, list[Instance]] = defaultdict(list)
    for task in instances:
        projects[project_of(task.repo)].append(task)
    return tuple(
        Repository(
            name=name,
            version=_joined(_version(task) for task in projects[name]),
            licence=_joined(task.licence or UNKNOWN for task in projects[name]),
            split=projects[name][0].split,
            tasks=len(projects[name]),
        )
        for name in sorted(projects)
    )


def _version(task: Instance) -> str:
    released = task.repo.startswith("pypi:") and "==" in task.repo
    return task.repo.partition("==")[2] if released else task.base_commit[:12]


def _joined(words: Iterable[str]) -> str:
    """The different words, at most three of them."""
    different = sorted(set(words))
    more = len(different) - 3
    return ", ".join(different[:3]) + (f" and {more} more" if more > 0 else "")


def changed_lines(patch: str) -> int:
    """Added plus removed lines of a unified diff, by the lengths that its hunks state."""
    changed = old = new = 0
    for line in patch.split("\n"):
        if old > 0 or new > 0:
            changed += line.startswith(("+", "-"))
            old -= not line.startswith(("+", "\\"))
            new -= not line.startswith(("-", "\\"))
        elif hunk := _HUNK.match(line):
            old, new = (int(length or 1) for length in hunk.groups())
    return changed


def _median(values: Iterable[int]) -> float:
    numbers = list(values)
    return float(median(numbers)) if numbers else 0.0


def _sections(card: Card) -> dict[str, list[dict[str, str]]]:
    """The rows of each table, by its title."""
    numbers = {
        "tasks": f"{card.tasks}",
        "failing tests (median)": f"{card.fail_to_pass:g}",
        "changed lines of the fix (median)": f"{card.changed_lines:g}",
        "characters of the statement (median)": f"{card.statement_characters:g}",
    }
    repositories = [
        {
            "repository": printable(row.name),
            "version": printable(row.version),
            "licence": printable(row.licence),
            "split": row.split,
            "tasks": f"{row.tasks}",
        }
        for row in card.repositories
    ]
    return {
        "Tasks": [{"what": name, "number": number} for name, number in numbers.items()],
        "Splits": _counted("split", card.splits, card.tasks),
        "Difficulty": _counted("difficulty", card.difficulties, card.tasks),
        "Families": _counted("family", card.families, card.tasks),
        "Repositories": repositories,
    }


def _counted(
    heading: str, counts: Mapping[SplitName, int] | Mapping[str, int], total: int
) -> list[dict[str, str]]:
    return [
        {heading: printable(name), "tasks": f"{count}", "%": f"{100 * count / total:.1f}"}
        for name, count in counts.items()
    ]


def table(card: Card) -> Group:
    """The card for a terminal, a table a subject."""
    return Group(*(rich_table(title, rows) for title, rows in _sections(card).items() if rows))


def markdown(card: Card) -> str:
    """The card in GitHub's Markdown, a heading and a table a subject."""
    return "\n".join(
        f"## {title}\n\n{markdown_table(rows)}" for title, rows in _sections(card).items() if rows
    )
