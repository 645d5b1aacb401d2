"""A recorded trajectory as a policy that says the same again."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from pydantic import ValidationError

from policies.base import Completion, PolicyError
from policies.experience.database import StoreError
from policies.experience.events import Event, Prompted, Sampled, Shortened, TaskStarted
from policies.experience.prompt import prompt_of
from policies.experience.store import Store
from policies.scripted import Recorded, ReplayPolicy, digest_messages

_CONTEXT_TOKENS = 1_000_000


def open_replay(name: str, context_tokens: int | None = None) -> ReplayPolicy:
    """The trajectory that `Store.resolve` finds for `name`, as a policy."""
    try:
        with Store.open() as store:
            return replay(store.events(store.resolve(name)), context_tokens)
    except StoreError as error:
        raise PolicyError(f"nothing to replay: {error}.") from error


def replay(events: Iterable[Event], context_tokens: int | None = None) -> ReplayPolicy:
    """A policy that repeats the completions among `events`, with their tokens.

    Prompts are put together as in the run. The replay stops where its prompts differ from these,
    for instance by a time in a test's output, where a request of the run left no completion, and
    where a prompt was shortened. Raises PolicyError when `events` hold no completion or a broken
    one.
    """
    seen: list[Event] = []
    requests: list[tuple[str, str, list[Completion]]] = []
    written: dict[int | None, tuple[int, ...]] = {}
    grammars, recorded = False, None
    for event in events:
        if isinstance(event, TaskStarted):
            recorded = event.settings.get("context_tokens")
        elif isinstance(event, Prompted | Shortened):
            seen.append(event)
        elif isinstance(event, Sampled):
            grammars = grammars or event.grammar is not None
            completion = _completion(event, written)
            if event.group and requests and requests[-1][0] == event.group:
                requests[-1][2].append(completion)
            else:
                prompt = prompt_of(seen, event.attempt, event.round if event.group else None)
                requests.append((event.group, digest_messages(prompt), [completion]))
            seen.append(event)
    if not requests:
        raise PolicyError("nothing to replay: the trajectory holds no completion.")
    return ReplayPolicy(
        (Recorded(digest=digest, completions=tuple(drawn)) for _, digest, drawn in requests),
        calls_tools=not grammars,
        context_tokens=context_tokens or (recorded if grammars else None) or _CONTEXT_TOKENS,
    )


def _completion(event: Sampled, written: dict[int | None, tuple[int, ...]]) -> Completion:
    """The completion of `event`; `written` holds the ids of each attempt so far."""
    prompt_ids = None
    if event.prompt_delta_ids is not None:
        prefix = written.get(event.attempt, ())[: event.prefix_length]
        if _digest(prefix) != event.prefix_digest:
            raise PolicyError(
                "this trajectory cannot be replayed: the tokens of a completion do not continue "
                "those before it. Choose another one."
            )
        prompt_ids = prefix + event.prompt_delta_ids
    if event.chosen:
        known = prompt_ids is not None and event.completion_ids is not None
        written[event.attempt] = (prompt_ids or ()) + (event.completion_ids or ()) if known else ()
    try:
        return Completion.model_validate(
            {
                "text": event.text,
                "tool_calls": event.tool_calls,
                "prompt_ids": prompt_ids,
                "completion_ids": event.completion_ids,
                "logprobs": event.logprobs,
                "finish_reason": event.finish_reason,
                "usage": event.usage,
                "seconds": event.seconds,
                "policy_version": event.policy_version,
            }
        )
    except ValidationError as error:
        raise PolicyError(f"this trajectory cannot be replayed: {error.errors()[0]['msg']}.") from (
            error
        )


def _digest(ids: tuple[int, ...]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest() if ids else ""
