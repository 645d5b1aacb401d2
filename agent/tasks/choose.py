"""Which tasks of a file are run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from agent.status import UsageError
from agent.tasks.instance import Instance, SplitName


def choose(
    instances: Iterable[Instance],
    split: SplitName | None = None,
    ids: Iterable[str] | None = None,
    limit: int | None = None,
) -> list[Instance]:
    """The tasks of a split, or those named. A limit takes from every repository in turn.

    Raises UsageError when none is left, or a name is unknown.
    """
    held = list(instances)
    wanted = None if ids is None else set(ids)
    if wanted and (unknown := wanted - {instance.instance_id for instance in held}):
        raise UsageError(f"there is no task {', '.join(sorted(unknown))}")
    chosen = [
        instance
        for instance in held
        if (split is None or instance.split == split)
        and (wanted is None or instance.instance_id in wanted)
    ]
    if not chosen:
        raise UsageError("no task is left to run", "Look at the card: `agent tasks card`.")
    if limit is None or limit >= len(chosen):
        return chosen
    turns: dict[str, int] = {}
    ranked = []
    for instance in sorted(chosen, key=_shuffled):
        turn = turns[instance.repo] = turns.get(instance.repo, 0) + 1
        ranked.append((turn, _shuffled(instance), instance))
    return [instance for *_, instance in sorted(ranked, key=lambda place: place[:2])[:limit]]


def _shuffled(instance: Instance) -> str:
    """A key without meaning, the same everywhere, so that a limit takes any family."""
    return hashlib.sha256(instance.instance_id.encode()).hexdigest()
