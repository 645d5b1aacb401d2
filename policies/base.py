"""The vocabulary of policies: what a policy is asked, and what it answers.

A policy turns a list of messages into completions. It knows nothing of repositories,
sandboxes or tools; `agent` joins those to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """An immutable value object that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


MALFORMED = "__malformed__"
"""The only key of a tool call's arguments that were no JSON object; its value is their text."""


class PolicyError(Exception):
    """A policy cannot be built or cannot answer. The message says what to do next."""


class ContextOverflow(PolicyError):
    """The prompt and the requested completion do not fit the policy's context."""


class ToolCall(Frozen):
    """One call of a tool, as a policy asked for it; `arguments` is the parsed JSON object."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(Frozen):
    """One message of a conversation, in the roles of the OpenAI chat format."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def as_chat(self) -> dict[str, Any]:
        """The message as chat templates and OpenAI-compatible servers take it."""
        chat: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_call_id is not None:
            chat["tool_call_id"] = self.tool_call_id
        if self.tool_calls:
            chat["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                }
                for call in self.tool_calls
            ]
        return chat


class Sampling(Frozen):
    """How completions are drawn.

    `temperature` 0 is greedy. `max_tokens` caps each completion. A `seed` of None lets the
    engine choose one; the i-th of n completions uses `seed + i`.
    """

    temperature: float = Field(0.0, ge=0.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    top_k: int = Field(0, ge=0, description="0 keeps the whole vocabulary")
    max_tokens: int = Field(768, gt=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None


class Constraint(Frozen):
    """What a completion may look like.

    `grammar` is GBNF (llama.cpp) and binds local models; `tools` are JSON-schema function
    declarations in the OpenAI format and bind models that call tools. A policy uses the one
    it supports and ignores the other.
    """

    grammar: str | None = None
    tools: tuple[dict[str, Any], ...] = ()


class Usage(Frozen):
    """Token counts of one request. `cached` of the `prompt` tokens came from the KV cache."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


class Completion(Frozen):
    """One sampled completion, with the exact tokens the engine saw and produced.

    `prompt_ids` and `completion_ids` are token ids (int), `logprobs` the natural-log
    probabilities of `completion_ids` under the unconstrained policy at temperature 1
    (float, same length). Local models always fill them; hosted ones leave them None.
    `completion_ids` includes the end-of-turn token when `finish_reason` is "stop" on it.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    finish_reason: Literal["stop", "length", "tool_calls"] = "stop"
    usage: Usage = Usage()
    seconds: float = 0.0
    policy_version: str = ""


class Progress(Frozen):
    """A transient report while a completion is being written. `prompt_seconds` is prefill time."""

    completion_tokens: int
    seconds: float


OnProgress = Callable[[Progress], None]


@runtime_checkable
class Policy(Protocol):
    """What decides. Implementations: llama.cpp, litellm, scripted, replay."""

    @property
    def version(self) -> str:
        """Identity of the weights: model digest plus adapter digest, stable across runs."""
        ...

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and completion may take together."""
        ...

    @property
    def calls_tools(self) -> bool:
        """True when the policy answers with tool calls, False when it writes text actions."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the rendered prompt (exact for local models, an estimate for hosted ones)."""
        ...

    def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        constraint: Constraint | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        """Draw `n` completions of one prompt. KeyboardInterrupt cancels the generation.

        Raises ContextOverflow when prompt and `max_tokens` do not fit, PolicyError otherwise.
        """
        ...

    def close(self) -> None:
        """Release the engine. Safe to call twice."""
        ...
