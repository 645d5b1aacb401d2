"""Known fixes as conversations, behind the prompts that rollouts stored: to warm up on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from agent.rollout.gold import gold_conversation, gold_edit
from agent.rollout.records import Batch
from agent.status import UsageError
from agent.tasks.instance import Instance, write_text
from agent.tasks.tree import patched, visible_files
from policies.base import Message
from policies.experience.events import Event, Prompted, Sampled
from policies.experience.store import Store


def write_gold(
    path: Path, batches: Iterable[Batch], instances: Mapping[str, Instance], store: Store
) -> int:
    """Write a conversation for each task whose fix can be said; returns how many there are."""
    lines: dict[str, str] = {}
    for batch in batches:
        if batch.trajectory and batch.instance_id not in lines:
            row = conversation(store.events(batch.trajectory), instances[batch.instance_id])
            if row is not None:
                lines[batch.instance_id] = json.dumps({"messages": row}) + "\n"
    write_text(path, "".join(lines.values()))
    return len(lines)


def conversation(events: Iterable[Event], instance: Instance) -> list[dict[str, str]] | None:
    """The known fix, behind the prompt of the first attempt that was asked for a plan.

    None when no attempt was, or its prompt does not show the definition to be changed, or the fix
    is not the change of one definition.
    """
    prompt = _until_plan(list(events))
    if prompt is None:
        return None
    try:
        before = visible_files(instance)
        after = patched(before, instance.patch)
        edit = gold_edit({f.path: f.data for f in before}, {f.path: f.data for f in after})
        if not any(f"{edit.symbol}\n" in message.content for message in prompt):
            return None
        return gold_conversation(prompt, edit)
    except UsageError:
        return None


def _until_plan(events: Sequence[Event]) -> list[Message] | None:
    """The messages of an attempt up to its first completion, which is a plan."""
    planned = (e for e in events if isinstance(e, Sampled) and e.phase == "plan")
    attempt = next((e.attempt for e in planned), None)
    if attempt is None:
        return None
    return list(_messages(events, attempt))


def _messages(events: Sequence[Event], attempt: int) -> Iterator[Message]:
    for event in events:
        if event.attempt not in (None, attempt):
            continue
        if isinstance(event, Sampled):
            return
        if isinstance(event, Prompted):
            yield event.message
