"""Conversations become token ids: what an engine has seen or written is never tokenised again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from policies.base import ContextOverflow, Message
from policies.prefixes import PrefixMap

_MARK = "7c1f0e"
_SPECIAL_LOOKALIKE = re.compile(r"<[^<>\s]{1,64}>|\[/?[A-Z_]{2,32}\]")


class Engine(Protocol):
    """What knows a model's chat template and tokens."""

    def render(self, messages: list[dict[str, Any]]) -> str:
        """The text of a conversation in the chat template, ready for the answer."""
        ...

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        """Token ids of `text`; `special` reads the names of control tokens as such."""
        ...

    def detokenize(self, ids: list[int]) -> str:
        """The text of token `ids`, control tokens included."""
        ...


class Prompts:
    """The prompts of one policy.

    A conversation that continues a remembered completion starts with precisely its ids. Text
    in a message that looks like a control token of the model is tokenised as plain text.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plain = lru_cache(4096)(self._looks_special)
        self._prefixes = PrefixMap(self._find_end_of_turn())

    def remember(self, rendered: str, text: str, ids: tuple[int, ...]) -> None:
        """Keep `ids` for `rendered + text`, less the token that ended the turn."""
        self._prefixes.add(rendered, text, ids)

    def build(self, messages: Sequence[Message]) -> tuple[str, list[int]]:
        """The rendered conversation and its ids, those of known completions unchanged."""
        engine = self._engine
        rendered = engine.render([message.as_chat() for message in messages])
        known, ids = self._prefixes.longest(rendered)
        at, tokens = len(known), list(ids)
        for start, end in self._literal(messages, rendered):
            if end > at:
                tokens += engine.tokenize(rendered[at : max(at, start)])
                tokens += engine.tokenize(rendered[max(at, start) : end], special=False)
                at = end
        return rendered, tokens + engine.tokenize(rendered[at:])

    def _literal(self, messages: Sequence[Message], rendered: str) -> list[tuple[int, int]]:
        """Where in `rendered` the contents stand that hold no control tokens, in order.

        The template is rendered once more with marks in their places. One that alters
        contents is searched for them, message by message.
        """
        places = [index for index, message in enumerate(messages) if self._plain(message.content)]
        if not places:
            return []
        mark = secrets.token_hex(8)
        marked = list(messages)
        for index in places:
            marked[index] = messages[index].model_copy(update={"content": f"{mark}{index:06}"})
        template = self._engine.render([message.as_chat() for message in marked])
        pieces = re.split(f"{mark}(\\d{{6}})", template)
        for trim in (str, str.strip):
            text, spans = pieces[0], []
            for place, rest in zip(pieces[1::2], pieces[2::2], strict=True):
                content = trim(messages[int(place)].content)
                spans.append((len(text), len(text) + len(content)))
                text += content + rest
            if text == rendered:
                return spans
        return _searched([message.content for message in messages], set(places), rendered)

    def _looks_special(self, content: str) -> bool:
        if not _SPECIAL_LOOKALIKE.search(content):
            return False
        return self._engine.tokenize(content) != self._engine.tokenize(content, special=False)

    def _find_end_of_turn(self) -> str:
        """The control token that the template puts after an assistant's message."""
        turns = [("user", "u"), ("assistant", _MARK), ("user", "v")]
        rendered = self._engine.render([{"role": r, "content": c} for r, c in turns])
        rest = rendered.rpartition(_MARK)[2]
        return self._engine.detokenize(self._engine.tokenize(rest)[:1])


def check_fits(prompt_tokens: int, max_tokens: int, context: int) -> None:
    """Raise ContextOverflow unless prompt and answer fit into `context` tokens."""
    if prompt_tokens + max_tokens > context:
        raise ContextOverflow(
            f"the prompt has {prompt_tokens} tokens and the answer may have "
            f"{max_tokens}, but the context holds {context}: shorten the "
            "prompt, lower max_tokens, or open the model with a larger context."
        )


def _searched(contents: list[str], places: set[int], rendered: str) -> list[tuple[int, int]]:
    """The spans in `rendered` of the `contents` at `places`, each behind the one before it."""
    at = 0
    spans = []
    for index, content in enumerate(contents):
        for text in (content, content.strip()):
            start = rendered.find(text, at)
            if text and start >= 0:
                at = start + len(text)
                if index in places:
                    spans.append((start, at))
                break
    return spans
