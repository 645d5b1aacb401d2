"""Known fixes as answers, behind the prompts that rollouts stored: to warm up on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from agent.rollout.gold import fill_conversation, gold_conversation, gold_edit, gold_fill
from agent.rollout.records import Batch
from agent.status import UsageError
from agent.tasks.instance import Instance, write_text
from agent.tasks.tree import patched, visible_files
from policies.base import Message
from policies.experience.events import Event, Prompted, Sampled
from policies.experience.store import Store

Row = list[dict[str, str]]
Say = Callable[[Sequence[Event], Mapping[str, bytes], Mapping[str, bytes]], Row | None]


def write_gold(
    path: Path, batches: Iterable[Batch], instances: Mapping[str, Instance], store: Store
) -> int:
    """Write what can be said of each task's fix, a conversation or a line; returns how many."""
    lines: dict[tuple[str, str], str] = {}
    for batch in batches:
        if not batch.trajectory:
            continue
        instance = instances[batch.instance_id]
        known = {kind for name, kind in lines if name == instance.instance_id}
        missing = {kind: say for kind, say in SAID.items() if kind not in known}
        if not missing:
            continue
        events = list(store.events(batch.trajectory))
        for kind, say in missing.items():
            row = said(say, events, instance)
            if row is not None:
                lines[instance.instance_id, kind] = json.dumps({"messages": row}) + "\n"
    write_text(path, "".join(lines.values()))
    return len(lines)


def said(say: Say, events: Sequence[Event], instance: Instance) -> Row | None:
    """The known fix in the words of an attempt; None when it cannot be said so."""
    try:
        return say(events, *sides(instance))
    except UsageError:
        return None


def sides(instance: Instance) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of a task as they are, and with its known fix. Raises UsageError."""
    before = visible_files(instance)
    after = patched(before, instance.patch)
    return {f.path: f.data for f in before}, {f.path: f.data for f in after}


def conversation(
    events: Sequence[Event], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> Row | None:
    """The known fix, behind the prompt of the first attempt that was asked for a plan.

    None when no attempt was, or its prompt does not show the definition to be changed. Raises
    UsageError when the fix is not the change of one definition.
    """
    planned = (e for e in events if isinstance(e, Sampled) and e.phase == "plan")
    attempt = next((e.attempt for e in planned), None)
    edit = gold_edit(before, after)
    prompt = list(_messages(events, attempt)) if attempt is not None else []
    if not any(f"{edit.symbol}\n" in message.content for message in prompt):
        return None
    return gold_conversation(prompt, edit)


def line(
    events: Sequence[Event], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> Row | None:
    """The known fix, behind the prompt of the first attempt that was to fill in holes.

    None when no attempt was, or its prompt does not show the definition to be changed. Raises
    UsageError when the fix fills no hole.
    """
    filled = (e for e in events if isinstance(e, Sampled) and e.group)
    attempt = next((e.attempt for e in filled), None)
    fill = gold_fill(before, after)
    prompt: list[Message] = []
    if attempt is None:
        return None
    for event in events:
        if isinstance(event, Prompted) and (event.attempt, event.round) == (attempt, None):
            prompt.append(event.message)
            if event.message.content.startswith(f"This is {fill.hole.symbol.id}:\n"):
                return fill_conversation(prompt, fill)
    return None


SAID: Mapping[str, Say] = {"conversation": conversation, "line": line}


def _messages(events: Sequence[Event], attempt: int) -> Iterator[Message]:
    """The messages of an attempt up to its first completion."""
    for event in events:
        if event.attempt not in (None, attempt):
            continue
        if isinstance(event, Sampled):
            return
        if isinstance(event, Prompted):
            yield event.message
