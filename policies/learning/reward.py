"""A reward model on the same base: an adapter and a linear head that order attempts.

Trained by TRL (Bradley-Terry) on pairs of verified and failed attempts. A judge may rank
candidates; it never pays: rewards of training come from the verifier alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policies.learning.base import lora
from policies.learning.hf import arguments, fit
from policies.learning.preference import Pair, PreferenceConfig, need
from policies.learning.run import Run


class RewardModelConfig(PreferenceConfig):
    """Settings of the reward model; `beta` is not used."""


def train(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], config: RewardModelConfig, run: Run
) -> Path:
    """Train adapter and head on pairs; `model` classifies sequences into one label.

    Returns the adapter's folder, which holds the head as well. Goes on where a run was stopped.
    """
    from datasets import Dataset
    from peft import get_peft_model
    from trl import RewardConfig, RewardTrainer

    need(pairs)
    rows = [
        {"chosen_ids": list(pair.chosen.ids), "rejected_ids": list(pair.rejected.ids)}
        for pair in pairs
    ]
    trainer = RewardTrainer(
        model=get_peft_model(model, lora(config.adapters, task="SEQ_CLS")),
        args=RewardConfig(**arguments(config, run, model.dtype)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    return fit(trainer, run, {"pairs": len(pairs)})
