"""The prompt that a policy answers, put together from the events before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from policies.base import Message
from policies.experience.events import Event, Prompted, Sampled, Shortened

LEAST_CHARACTERS = 200


def prompt_of(
    events: Iterable[Event], attempt: int | None, round: int | None = None
) -> list[Message]:
    """The prompt of an attempt: what all attempts share, then what is its own.

    With a `round`, the prompt of that round alone: what the attempt says of no round, then what it
    says in this one. Old observations that were left out say so instead.
    """
    messages: list[Message] = []
    left_out = 0
    for event in events:
        if round is None and event.attempt not in (None, attempt):
            continue
        if round is not None and (event.attempt != attempt or event.round not in (None, round)):
            continue
        if isinstance(event, Prompted):
            messages.append(event.message)
        elif isinstance(event, Sampled) and event.chosen:
            messages.append(
                Message(role="assistant", content=event.text, tool_calls=event.tool_calls)
            )
        elif isinstance(event, Shortened):
            left_out = max(left_out, event.observations)
    return shortened(messages, left_out)


def shortened(messages: Sequence[Message], observations: int) -> list[Message]:
    """The messages without the long texts of so many observations, the oldest ones."""
    found = []
    for message in messages:
        if message.role == "tool" and observations > 0:
            observations -= 1
            message = _told(message)
        found.append(message)
    return found


def _told(message: Message) -> Message:
    if len(message.content) < LEAST_CHARACTERS:
        return message
    text = f"[{len(message.content)} characters left out; call the tool again to see them]"
    return message.model_copy(update={"content": text})
