"""Decoding under a GBNF grammar: which tokens may come next."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from policies.base import PolicyError
from policies.torch.load import INSTALL


class Grammars:
    """Compiles grammars for one tokenizer; the latest ones are kept.

    xgrammar reads GBNF as llama.cpp does. Control tokens never match, not even where any
    character does; when the grammar is complete only the tokens in `ends` may follow.
    """

    def __init__(self, tokenizer: Any, width: int, ends: tuple[int, ...]) -> None:
        """`width` is the number of logits, which may exceed the tokens of the tokenizer."""
        try:
            import xgrammar
        except ImportError as error:
            raise PolicyError(
                f"decoding in torch under a grammar needs xgrammar: {INSTALL}."
            ) from error
        self._xgrammar = xgrammar
        self._width = width
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=width, stop_token_ids=list(ends)
        )
        self._compiler = xgrammar.GrammarCompiler(info, cache_enabled=False)
        self._compiled = lru_cache(256)(self._compile)

    def matcher(self, grammar: str) -> Any:
        """A fresh matcher of `grammar`, for one completion. Raises PolicyError."""
        return self._xgrammar.GrammarMatcher(self._compiled(grammar))

    def mask(self, scores: Any, matchers: list[Any]) -> None:
        """Set to -inf in `scores` (rows × width, float32) what each row's matcher refuses."""
        bits = self._xgrammar.allocate_token_bitmask(len(matchers), self._width)
        for row, matcher in enumerate(matchers):
            matcher.fill_next_token_bitmask(bits, row)
        self._xgrammar.apply_token_bitmask_inplace(scores, bits.to(scores.device))

    def _compile(self, grammar: str) -> Any:
        try:
            return self._compiler.compile_grammar(grammar)
        except RuntimeError as error:
            raise PolicyError(f"the grammar cannot be read: {error}") from error
