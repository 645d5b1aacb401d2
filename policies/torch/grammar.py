"""Decoding under a GBNF grammar: which tokens may come next."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from policies.base import PolicyError
from policies.torch.load import INSTALL

_CODE_POINT = re.compile(r"\\\\|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})")
_START = re.compile(r"^start:", re.MULTILINE)
_RULE = re.compile(r"^[a-z][\w-]*:", re.MULTILINE)


class Grammars:
    """Compiles grammars for one tokenizer; the latest ones are kept.

    llguidance takes them in its own notation, in which rules are read token by token as
    lexers do and only terminals match as GBNF does. So a grammar becomes one terminal, which
    must not be recursive; that of every action and infill is not. Control tokens never
    match, not even where any character does. A grammar that is complete admits the tokens
    in `ends`.
    """

    def __init__(self, tokenizer: Any, width: int, ends: tuple[int, ...]) -> None:
        """`width` is the number of logits, which may exceed the tokens of the tokenizer."""
        try:
            from llguidance import LLMatcher, hf
        except ImportError as error:
            raise PolicyError(
                f"decoding in torch under a grammar needs llguidance: {INSTALL}."
            ) from error
        self._new = LLMatcher
        self._width = width
        self._tokens = hf.from_tokenizer(tokenizer, n_vocab=width, eos_token=list(ends))
        self._compiled = lru_cache(256)(self._compile)

    def matcher(self, grammar: str) -> Any:
        """A fresh matcher of `grammar`, for one completion. Raises PolicyError."""
        return self._compiled(grammar).deep_copy()

    def mask(self, scores: Any, matchers: list[Any]) -> None:
        """Set to -inf in `scores` (rows × width, float32) what each row's matcher refuses."""
        import numpy
        import torch

        bits = numpy.frombuffer(b"".join(m.compute_bitmask() for m in matchers), numpy.uint8)
        allowed = numpy.unpackbits(bits.reshape(len(matchers), -1), axis=1, bitorder="little")
        refused = torch.from_numpy(allowed[:, : self._width] == 0)
        scores.masked_fill_(refused.to(scores.device), -torch.inf)

    def _compile(self, grammar: str) -> Any:
        matcher = self._new(self._tokens, as_terminal(grammar))
        if matcher.is_error():
            raise PolicyError(f"the grammar cannot be used: {matcher.get_error()}")
        return matcher


def as_terminal(grammar: str) -> str:
    """GBNF in llguidance's notation, as one terminal. Raises PolicyError."""
    from llguidance.gbnf_to_lark import gbnf_to_lark

    try:
        converted = gbnf_to_lark(_CODE_POINT.sub(_spelled, grammar))
    except Exception as error:  # it raises that very class
        raise PolicyError(f"the grammar cannot be read: {error}") from error
    rules = _RULE.findall(converted)
    if rules != ["start:"]:
        recursive = ", ".join(rule.rstrip(":") for rule in rules if rule != "start:")
        raise PolicyError(
            "the grammar cannot be used in torch: "
            + (f"{recursive} refer to themselves" if recursive else "it has no rule 'root'")
            + ". Write it without recursion, or use llama.cpp."
        )
    return _START.sub("start: WHOLE\nWHOLE:", converted)


def _spelled(escape: re.Match[str]) -> str:
    """The character of an escape that the conversion garbles within brackets, if it has a form."""
    digits = escape[1] or escape[2]
    character = chr(int(digits, 16)) if digits else ""
    return character if character > "~" and character.isprintable() else escape[0]
