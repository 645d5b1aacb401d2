"""The exact tokens of an attempt, put together again from what the store holds.

A stored sample is a delta behind a prefix: the prompt and completion of the sample before it.
Nothing is rendered or tokenised again; a prefix whose digest differs is refused.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policies.experience.events import Sampled
from policies.learning.errors import LearningError


@dataclass(frozen=True)
class Tokens:
    """One sequence of token ids as the engine saw and wrote them.

    `mask` is True on the tokens that the policy wrote and that are to be trained; `logprobs` holds
    their stored natural-log probabilities (0.0 elsewhere). All three have the same length.
    """

    ids: tuple[int, ...]
    mask: tuple[bool, ...]
    logprobs: tuple[float, ...]

    @property
    def trained(self) -> int:
        """How many tokens are trained."""
        return sum(self.mask)


class Untrainable(LearningError):
    """A sample without what training needs (a hosted model's: no token ids)."""


def digest(ids: Sequence[int]) -> str:
    """SHA-256 of token ids as little-endian int32, in hex; empty for none, as the store has it."""
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest() if ids else ""


def sequences(samples: Iterable[Sampled], where: str = "") -> tuple[Tokens, ...]:
    """The sequences of an attempt's samples, in order: one as long as each continues the last.

    A sample whose prompt does not begin with what was there begins another sequence. `where` names
    the attempt in errors. Raises LearningError on a prefix that is not the stored one, Untrainable
    on a sample without ids or log-probabilities.
    """
    done: list[Tokens] = []
    ids: tuple[int, ...] = ()
    mask: tuple[bool, ...] = ()
    logprobs: tuple[float, ...] = ()
    for number, sample in enumerate(samples):
        delta, written = sample.prompt_delta_ids, sample.completion_ids
        if delta is None or written is None or sample.logprobs is None:
            raise Untrainable(f"{where}: sample {number} has no token ids or log-probabilities")
        trained = sample.mask if sample.mask is not None else (1,) * len(written)
        if not len(written) == len(sample.logprobs) == len(trained):
            raise LearningError(
                f"{where}: sample {number} has {len(written)} tokens, {len(sample.logprobs)} "
                f"log-probabilities and {len(trained)} marks: leave this trajectory out."
            )
        kept = sample.prefix_length
        if kept > len(ids) or digest(ids[:kept]) != sample.prefix_digest:
            raise LearningError(
                f"{where}: the {kept} tokens before sample {number} are not those that the engine "
                "saw (their digest differs): events are missing. Leave this trajectory out."
            )
        if not kept and not delta:
            raise LearningError(f"{where}: sample {number} has no prompt.")
        if kept < len(ids):
            done.append(Tokens(ids, mask, logprobs))
            ids, mask, logprobs = ids[:kept], (False,) * kept, (0.0,) * kept
        use = tuple(
            bool(mark) and math.isfinite(logprob)
            for mark, logprob in zip(trained, sample.logprobs, strict=True)
        )
        ids += delta + written
        mask += (False,) * len(delta) + use
        logprobs += (0.0,) * len(delta)
        logprobs += tuple(p if u else 0.0 for p, u in zip(sample.logprobs, use, strict=True))
    if ids:
        done.append(Tokens(ids, mask, logprobs))
    return tuple(tokens for tokens in done if tokens.trained and tokens.ids)
