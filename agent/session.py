"""One trajectory in the making: every event is redacted, stored, and only then shown."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Any

from policies.base import Completion, Constraint, Message, Progress, Sampling
from policies.experience.events import Event, Phase, Prompted, Sampled, Tested, TestLabel
from policies.experience.prompt import prompt_of
from policies.experience.redact import redact
from policies.experience.store import Writer
from tools.testing.results import TestRun

Listener = Callable[[Event | Progress], None]
MIN_SECRET = 15


class Session:
    """The append-only list of events that is the prompt, the log and the training record."""

    def __init__(self, writer: Writer, listeners: Sequence[Listener] = ()) -> None:
        self.writer = writer
        self.listeners = tuple(listeners)
        self.events: list[Event] = []

    @property
    def id(self) -> str:
        """The trajectory's id in the store."""
        return self.writer.id

    def emit(self, event: Event) -> None:
        """Take secrets out, make the event durable, then visible.

        A completion is stored as it was sampled, with its tokens; the policy has seen no secrets
        that it could repeat. Raises StoreError; then nothing was shown.
        """
        if not isinstance(event, Sampled):
            event = event.model_copy(update=_redacted(dict(event)))
        self.writer.append(event)
        self.events.append(event)
        for listener in self.listeners:
            listener(event)

    def progress(self, progress: Progress) -> None:
        """Show a transient report; it is not part of the trajectory."""
        for listener in self.listeners:
            listener(progress)

    def prompt(
        self, message: Message, *, attempt: int | None, round: int | None, phase: Phase
    ) -> None:
        """Add a message to the prompt."""
        self.emit(Prompted(message=message, attempt=attempt, round=round, phase=phase))

    def messages(self, attempt: int, round: int | None = None) -> list[Message]:
        """The prompt of an attempt as it stands; with a `round`, of that round alone."""
        return prompt_of(self.events, attempt, round)

    def record(
        self,
        completion: Completion,
        sampling: Sampling,
        constraint: Constraint | None,
        *,
        attempt: int,
        round: int,
        phase: Phase,
        group: str = "",
        trained: bool = True,
    ) -> None:
        """Store a completion: prompt ids as a delta behind the attempt's last sample.

        One of a `group` of siblings stands by itself and is no part of later prompts. What another
        model than the policy wrote is not `trained`.
        """
        prefix = () if group else self._prefix_ids(attempt)
        prompt_ids = completion.prompt_ids
        if prompt_ids is not None and prompt_ids[: len(prefix)] != prefix:
            prefix = ()
        self.emit(
            Sampled(
                text=completion.text,
                tool_calls=completion.tool_calls,
                chosen=not group,
                prefix_length=len(prefix),
                prefix_digest=ids_digest(prefix),
                prompt_delta_ids=None if prompt_ids is None else prompt_ids[len(prefix) :],
                completion_ids=completion.completion_ids,
                logprobs=completion.logprobs,
                mask=completion.completion_ids and (int(trained),) * len(completion.completion_ids),
                finish_reason=completion.finish_reason,
                sampling=sampling,
                grammar=constraint.grammar if constraint else None,
                usage=completion.usage,
                seconds=completion.seconds,
                policy_version=completion.policy_version,
                group=group,
                attempt=attempt,
                round=round,
                phase=phase,
            )
        )

    def record_tests(self, label: TestLabel, run: TestRun, **tags: Any) -> None:
        """Store a test run."""
        self.emit(
            Tested(
                label=label,
                outcomes=dict(run.outcomes),
                exit_code=run.exit_code,
                killed_by=run.killed_by,
                complete=run.complete,
                seconds=run.seconds,
                output=run.output,
                **tags,
            )
        )

    def _prefix_ids(self, attempt: int) -> tuple[int, ...]:
        ids: tuple[int, ...] = ()
        for event in self.events:
            if isinstance(event, Sampled) and event.attempt == attempt and event.chosen:
                if event.prompt_delta_ids is None or event.completion_ids is None:
                    return ()
                ids = ids[: event.prefix_length] + event.prompt_delta_ids + event.completion_ids
        return ids


def _redacted(value: Any) -> Any:
    """The value with secrets taken out of every string in it."""
    if isinstance(value, str):
        return redact(value)[0] if len(value) > MIN_SECRET else value
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_redacted(item) for item in value)
    if isinstance(value, Message):
        return value.model_copy(update={"content": _redacted(value.content)})
    return value


def ids_digest(ids: Sequence[int]) -> str:
    """SHA-256 of token ids as little-endian int32; empty for no ids."""
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest() if ids else ""
