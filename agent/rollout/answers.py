"""Known fixes as answers, behind the prompts that rollouts stored: to warm up on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from agent.context.prompts import render
from agent.rollout.gold import (
    GoldEdit,
    GoldFill,
    fill_conversation,
    gold_conversation,
    gold_edit,
    gold_fill,
)
from agent.rollout.records import Batch
from agent.status import AgentError, UsageError
from agent.tasks.instance import Instance, write_text
from agent.tasks.tree import sides
from policies.base import Message
from policies.experience.events import Event, Prompted, Sampled
from policies.experience.store import Store

Row = list[dict[str, str]]
Files = Mapping[str, bytes]
Say = Callable[[Sequence[Event]], Row | None]


def write_gold(
    path: Path, batches: Iterable[Batch], instances: Mapping[str, Instance], store: Store
) -> int:
    """Write each task's fix as a conversation and as a line, where it can be said and an attempt
    asked for it; returns how many rows there are."""
    drawn: defaultdict[str, list[str]] = defaultdict(list)
    for batch in batches:
        if batch.trajectory:
            drawn[batch.instance_id].append(batch.trajectory)
    rows = [row for name, runs in drawn.items() for row in _rows(instances[name], runs, store)]
    write_text(path, "".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return len(rows)


def _rows(instance: Instance, runs: Sequence[str], store: Store) -> list[Row]:
    """The rows of a task, each behind the first prompt in its runs that asked for it."""
    try:
        left = sayings(*sides(instance))
    except AgentError:
        return []
    found = []
    for run in runs:
        if not left:
            break
        events = list(store.events(run))
        for say in list(left):
            row = say(events)
            if row is not None:
                left.remove(say)
                found.append(row)
    return found


def sayings(before: Files, after: Files) -> list[Say]:
    """The ways in which the fix can be said: each gives a row for a run that asked for it."""
    ways: list[Say] = []
    with suppress(UsageError):
        ways.append(partial(_conversation, gold_edit(before, after)))
    with suppress(UsageError):
        fill = gold_fill(before, after)
        ways.append(partial(_line, fill, fill.hole.symbol.text(before[fill.hole.symbol.path])))
    return ways


def _conversation(edit: GoldEdit, events: Sequence[Event]) -> Row | None:
    """The fix behind the prompt of the first attempt that was asked for a plan.

    None when no attempt was, or its prompt does not show the definition to be changed.
    """
    planned = (e for e in events if isinstance(e, Sampled) and e.phase == "plan")
    attempt = next((e.attempt for e in planned), None)
    prompt = list(_messages(events, attempt)) if attempt is not None else []
    if not any(f"{edit.symbol}\n" in message.content for message in prompt):
        return None
    try:
        return gold_conversation(prompt, edit)
    except UsageError:
        return None


def _line(fill: GoldFill, definition: str, events: Sequence[Event]) -> Row | None:
    """The fix behind the prompt of the first attempt whose holes were in its definition."""
    shown = render("suspect", symbol=fill.hole.symbol.id, source=definition)
    prompts = [e for e in events if isinstance(e, Prompted) and e.round is None]
    attempts = (e.attempt for e in prompts if e.message.content == shown)
    attempt = next(attempts, None)
    if attempt is None:
        return None
    own = [event.message for event in prompts if event.attempt == attempt]
    until = [message.content for message in own].index(shown) + 1
    return fill_conversation(own[:until], fill)


def _messages(events: Sequence[Event], attempt: int) -> Iterator[Message]:
    """The messages of an attempt up to its first completion."""
    for event in events:
        if event.attempt not in (None, attempt):
            continue
        if isinstance(event, Sampled):
            return
        if isinstance(event, Prompted):
            yield event.message
