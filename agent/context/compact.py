"""What a prompt that grows too long can do without: what a policy saw long ago."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from policies.base import Message
from policies.experience.prompt import shortened

KEPT = 4
SHARE_LEFT = 0.6


def superseded(
    messages: Sequence[Message], room: int, count: Callable[[Sequence[Message]], int]
) -> int:
    """How many observations are to be left out, the oldest ones; 0 where all fits or none can be.

    `room` and `count` are in tokens. So many are left out that some time passes before it has to
    be done again: each time a provider's cache of the prompt is lost. What the policy has not seen
    yet stays, and the last few before that.
    """
    if count(messages) <= room:
        return 0
    spoken = max((at for at, one in enumerate(messages) if one.role == "assistant"), default=0)
    most = sum(message.role == "tool" for message in messages[:spoken]) - KEPT
    for number in range(1, most + 1):
        if count(shortened(messages, number)) <= SHARE_LEFT * room:
            return number
    return max(0, most)
