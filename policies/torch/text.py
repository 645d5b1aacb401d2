"""A transformers tokenizer as the engine of `policies.prompts`, like llama.cpp's server."""

from __future__ import annotations

import json
from typing import Any

_END_NAMES = (
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>",
    "<end_of_turn>", "<|end|>", "</s>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip


class Text:
    """Chat template and tokens of one model."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer

    def render(self, messages: list[dict[str, Any]]) -> str:
        """The text of a conversation in the chat template, ready for the answer."""
        return str(
            self._tokenizer.apply_chat_template(
                [_parsed(message) for message in messages],
                tokenize=False,
                add_generation_prompt=True,
            )
        )

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        """Token ids of `text`; `special` reads the names of control tokens as such."""
        self._backend.encode_special_tokens = not special
        try:
            return list(self._backend.encode(text, add_special_tokens=False).ids)
        finally:
            self._backend.encode_special_tokens = False

    def detokenize(self, ids: list[int]) -> str:
        """The text of token `ids`, control tokens included."""
        return str(self._backend.decode(ids, skip_special_tokens=False))

    def written(self, ids: list[int]) -> str:
        """The text of what a model wrote, without control tokens."""
        return str(self._backend.decode(ids, skip_special_tokens=True))

    def ends(self, model: Any) -> tuple[int, ...]:
        """The tokens that end an answer: those that the model declares, and the usual ones.

        The usual ones are a part of those that llama.cpp takes for the end of a generation.
        """
        found = {self._tokenizer.eos_token_id}
        declared = model.generation_config.eos_token_id if model.generation_config else None
        found |= set(declared if isinstance(declared, list) else [declared])
        vocabulary = self._tokenizer.get_vocab()
        found |= {vocabulary.get(name) for name in _END_NAMES}
        return tuple(sorted(token for token in found if token is not None))


def _parsed(message: dict[str, Any]) -> dict[str, Any]:
    """The message with the arguments of tool calls as objects, as templates want them."""
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        arguments = json.loads(function["arguments"])
        calls.append({**call, "function": {**function, "arguments": arguments}})
    return {**message, "tool_calls": calls}
