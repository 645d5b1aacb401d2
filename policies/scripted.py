"""Policies without a model: one that follows a script, one that repeats a recording."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from policies.base import (
    Completion,
    Constraint,
    ContextOverflow,
    Frozen,
    Message,
    OnProgress,
    PolicyError,
    Progress,
    Sampling,
    ToolCall,
    Usage,
)

END_OF_TURN = 256
_ROLES = {"system": 257, "user": 258, "assistant": 259, "tool": 260}


class ScriptedCall(Frozen):
    """One tool call of a script."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Reply(Frozen):
    """One entry of a script.

    It is used only if the last message contains `when`, where given; `repeat` keeps it for
    the following requests too.
    """

    text: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    when: str | None = None
    repeat: bool = False


class Script(Frozen):
    """What a scripted policy answers, in order."""

    replies: tuple[Reply, ...]
    calls_tools: bool = False
    context_tokens: int = 1_000_000


class ScriptedPolicy:
    """Answers from a script: each request takes the first unused reply that suits it.

    Tokens are UTF-8 bytes with one more id for the end of a turn (256) and one for each
    role (257 and up), log-probabilities are 0.0, so that records are complete.
    """

    def __init__(self, script: Script | Sequence[str | Reply]) -> None:
        """`script` may be a plain list of texts and replies."""
        if not isinstance(script, Script):
            replies = (Reply(text=r) if isinstance(r, str) else r for r in script)
            script = Script(replies=tuple(replies))
        self._script = script
        self._left = list(script.replies)
        self._calls = 0
        self._version = f"scripted@sha256:{_sha256(script.model_dump_json())[:12]}"

    @classmethod
    def load(cls, path: Path) -> ScriptedPolicy:
        """Read a script from a JSON file: a Script object, or a list of texts and replies."""
        where = f"script {path}"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PolicyError(f"cannot read {where}: {error.strerror}.") from error
        except ValueError as error:
            raise PolicyError(f"{where} is no JSON: {error}.") from error
        if isinstance(stored, list):
            stored = {"replies": stored}
        if not isinstance(stored, dict) or not isinstance(stored.get("replies"), list):
            raise PolicyError(f'{where} must be a list, or an object with a list "replies".')
        replies = [{"text": r} if isinstance(r, str) else r for r in stored["replies"]]
        try:
            return cls(Script.model_validate({**stored, "replies": replies}))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(step) for step in first["loc"])
            raise PolicyError(f"{where}: {place}: {first['msg']}.") from error

    @property
    def version(self) -> str:
        """`scripted@sha256:<12>` of the script."""
        return self._version

    @property
    def context_tokens(self) -> int:
        """As the script says, in bytes of text."""
        return self._script.context_tokens

    @property
    def calls_tools(self) -> bool:
        """As the script says."""
        return self._script.calls_tools

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Bytes of the messages, with two tokens more for each and one for the answer."""
        return len(_prompt_ids(messages))

    def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        constraint: Constraint | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        """Take `n` replies. Raises PolicyError when no unused reply suits."""
        prompt = _prompt_ids(messages)
        if len(prompt) > self.context_tokens:
            raise ContextOverflow(
                f"the prompt has {len(prompt)} tokens; the script allows {self.context_tokens}."
            )
        self._calls += 1
        drawn = [self._complete(self._take(messages), prompt, index) for index in range(n)]
        if on_progress is not None:
            count = sum(completion.usage.completion for completion in drawn)
            on_progress(Progress(completion_tokens=count, seconds=0.0))
        return drawn

    def close(self) -> None:
        """Nothing is held."""

    def _take(self, messages: Sequence[Message]) -> Reply:
        last = messages[-1].content if messages else ""
        for index, reply in enumerate(self._left):
            if reply.when is None or reply.when in last:
                if not reply.repeat:
                    del self._left[index]
                return reply
        state = (
            f"none of the {len(self._left)} replies left suits a last message that starts "
            f"{last[:80]!r}"
            if self._left
            else f"all {len(self._script.replies)} replies are used"
        )
        raise PolicyError(f"the script ran out at request {self._calls}: {state}. Add a reply.")

    def _complete(self, reply: Reply, prompt: tuple[int, ...], index: int) -> Completion:
        calls = tuple(
            ToolCall(id=f"call-{self._calls}-{index}-{place}", **call.model_dump())
            for place, call in enumerate(reply.tool_calls)
        )
        ids = (*_body_ids(reply.text, calls), END_OF_TURN)
        return Completion(
            text=reply.text,
            tool_calls=calls,
            prompt_ids=prompt,
            completion_ids=ids,
            logprobs=(0.0,) * len(ids),
            finish_reason="tool_calls" if calls else "stop",
            usage=Usage(prompt=len(prompt), completion=len(ids)),
            policy_version=self._version,
        )


class Recorded(Frozen):
    """One recorded request: the digest of its messages, and what was answered."""

    digest: str
    completions: tuple[Completion, ...]


class ReplayPolicy:
    """Repeats recorded completions as long as the prompts are those of the recording."""

    def __init__(
        self,
        recording: Iterable[Recorded],
        *,
        calls_tools: bool = False,
        context_tokens: int = 1_000_000,
    ) -> None:
        """`recording` lists the requests in order; `digest_messages` makes their digests."""
        self._recording = tuple(recording)
        self._at = 0
        self._calls_tools = calls_tools
        self._context = context_tokens
        first = next((c for entry in self._recording for c in entry.completions), None)
        self._version = f"replay:{first.policy_version}" if first else "replay:empty"

    @property
    def version(self) -> str:
        """`replay:` and the version of the recorded policy."""
        return self._version

    @property
    def context_tokens(self) -> int:
        """As given: a replay computes nothing."""
        return self._context

    @property
    def calls_tools(self) -> bool:
        """As given: what the recorded policy did."""
        return self._calls_tools

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The recorded count where the next request is this one, else an estimate."""
        if self._at < len(self._recording):
            entry = self._recording[self._at]
            if entry.completions and entry.digest == digest_messages(messages):
                return entry.completions[0].usage.prompt
        return sum(len(message.content) for message in messages) // 4

    def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        constraint: Constraint | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        """The next recorded completions. Raises PolicyError at the first divergence."""
        where = f"request {self._at + 1} of the replay"
        if self._at >= len(self._recording):
            raise PolicyError(
                f"{where} goes beyond the recording, which has {len(self._recording)} requests."
            )
        entry = self._recording[self._at]
        found = digest_messages(messages)
        if found != entry.digest:
            last = messages[-1].content[:80] if messages else ""
            raise PolicyError(
                f"{where} diverges: its messages have digest {found[:12]}, the recorded ones "
                f"{entry.digest[:12]}. Its last message starts {last!r}."
            )
        if n != len(entry.completions):
            raise PolicyError(
                f"{where} diverges: it asks for {n} completions, recorded are "
                f"{len(entry.completions)}."
            )
        self._at += 1
        return list(entry.completions)

    def close(self) -> None:
        """Nothing is held."""


def digest_messages(messages: Sequence[Message]) -> str:
    """The SHA-256 of a conversation, in hex: roles, texts and tool calls."""
    return _sha256(json.dumps([m.model_dump(mode="json") for m in messages], sort_keys=True))


def _body_ids(text: str, calls: Sequence[ToolCall]) -> tuple[int, ...]:
    said = json.dumps([call.model_dump() for call in calls]) if calls else ""
    return tuple((text + said).encode())


def _prompt_ids(messages: Sequence[Message]) -> tuple[int, ...]:
    ids: list[int] = []
    for message in messages:
        ids += [_ROLES[message.role], *_body_ids(message.content, message.tool_calls), END_OF_TURN]
    return (*ids, _ROLES["assistant"])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
