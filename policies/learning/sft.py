"""SFT by rejection sampling: the policy learns what it wrote in verified attempts, and gold fixes.

Rejection sampling: RFT (arXiv:2308.01825), STaR (arXiv:2203.14465). Rows are the tokens that the
engine saw and wrote. Gold fixes were written by nobody's engine: they alone are rendered here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from policies.learning.batch import Trajectory
from policies.learning.errors import LearningError
from policies.learning.hf import TrlConfig, adapted, arguments, fit, labelled
from policies.learning.run import Run
from policies.learning.tokens import Tokens


class SftConfig(TrlConfig):
    """SFT's own settings. `per_prompt` keeps easy tasks, which are solved often, from ruling."""

    per_prompt: int = Field(4, ge=1, description="verified samples of a prompt at most")


def accepted(found: Iterable[Trajectory], config: SftConfig) -> list[Tokens]:
    """Sequences of verified trajectories, each once; the shortest first where a prompt has many."""
    by_prompt: dict[str, list[Trajectory]] = {}
    for one in found:
        if one.verified and one.reward:
            by_prompt.setdefault(one.prompt, []).append(one)
    kept: dict[tuple[int, ...], Tokens] = {}
    for members in by_prompt.values():
        members.sort(key=lambda one: one.trained)
        taken = 0
        for one in members:
            if taken == config.per_prompt:
                break
            fresh = [tokens for tokens in one.sequences if tokens.ids not in kept]
            taken += bool(fresh)
            kept |= {tokens.ids: tokens for tokens in fresh}
    return list(kept.values())


def gold(rows: Iterable[Sequence[Mapping[str, str]]], tokenizer: Any) -> list[Tokens]:
    """Tokens of conversations whose assistant turns are to be learned.

    Each row is a list of `{"role", "content"}`. What an assistant says is tokenised apart and ends
    with the end of its turn, as an engine would have written it.
    """
    made: list[Tokens] = []
    for row in rows:
        made += _conversation([dict(message) for message in row], tokenizer)
    return made


def _conversation(messages: list[dict[str, str]], tokenizer: Any) -> list[Tokens]:
    done: list[Tokens] = []
    ids: tuple[int, ...] = ()
    mask: tuple[bool, ...] = ()
    for at, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = tuple(
            tokenizer.apply_chat_template(
                messages[:at], add_generation_prompt=True, tokenize=True, return_dict=False
            )
        )
        if prompt[: len(ids)] != ids:
            done.append(Tokens(ids, mask, (0.0,) * len(ids)))
            ids, mask = (), ()
        written = tokenizer(message["content"], add_special_tokens=False)["input_ids"]
        written = (*written, tokenizer.eos_token_id)
        mask += (False,) * (len(prompt) - len(ids)) + (True,) * len(written)
        ids = prompt + written
    if not any(mask):
        raise LearningError(
            "a gold row has no assistant's turn: there is nothing to learn from it."
        )
    return [*done, Tokens(ids, mask, (0.0,) * len(ids))]


def train(
    model: Any,
    tokenizer: Any,
    sequences: Sequence[Tokens],
    config: SftConfig,
    run: Run,
    parent: Path | None = None,
) -> Path:
    """Train an adapter on sequences; returns its folder. Goes on where a run was stopped."""
    from datasets import Dataset
    from trl import SFTConfig as Arguments
    from trl import SFTTrainer

    rows = [labelled(tokens) for tokens in sequences if len(tokens.ids) <= config.longest]
    if not rows:
        raise LearningError(
            "there is no verified attempt to learn from: roll out more samples, or warm up on gold "
            "fixes (--gold)."
        )
    trainer = SFTTrainer(
        model=adapted(model, config, parent),
        args=Arguments(**arguments(config, run, model.dtype)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    counts = Counter(rows=len(rows), left_out=len(sequences) - len(rows))
    return fit(trainer, run, dict(counts))
