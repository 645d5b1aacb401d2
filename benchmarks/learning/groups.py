"""Groups of samples of one prompt, made up, and the same batch as TRL's GRPO takes it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policies.learning.batch import Group, Groups, Trajectory
from policies.learning.data import Data, lay_out
from policies.learning.tokens import Tokens, digest


@dataclass(frozen=True)
class Shape:
    """How many groups of how many samples, and how many tokens each has."""

    groups: int = 1
    samples: int = 8
    prompt: int = 400
    completion: int = 75


def made_up(shape: Shape, vocabulary: int, seed: int = 0) -> Data:
    """Random ids; log-probabilities of 0; rewards 0 and 1 in turn."""
    draw = random.Random(seed)
    groups = []
    for _ in range(shape.groups):
        prompt = [draw.randrange(vocabulary) for _ in range(shape.prompt)]
        members = []
        for number in range(shape.samples):
            written = [draw.randrange(vocabulary) for _ in range(shape.completion)]
            mask = (False,) * len(prompt) + (True,) * len(written)
            tokens = Tokens((*prompt, *written), mask, (0.0,) * len(mask))
            members.append(Trajectory(str(number), digest(prompt), (tokens,), float(number % 2)))
        groups.append(Group(digest(prompt), tuple(members)))
    return lay_out(Groups(tuple(groups)))


def trl_batch(
    data: Data,
    places: Sequence[int],
    advantages: Sequence[float],
    old: torch.Tensor,
    stored: torch.Tensor,
    reference: torch.Tensor,
    cap: float,
) -> dict[str, Any]:
    """The sequences of one prompt as `GRPOTrainer` has them: completions padded on the right.

    `old`, `stored` and `reference` are flat over the trained tokens, sequence by sequence.
    """
    sequences = [data.sequences[place] for place in places]
    start = sequences[0].mask.index(True)
    longest = max(len(tokens.ids) for tokens in sequences) - start
    shape = len(sequences), longest
    ids, present, trained = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
    for row, tokens in enumerate(sequences):
        written = len(tokens.ids) - start
        ids[row, :written] = torch.tensor(tokens.ids[start:])
        present[row, :written] = 1
        trained[row, :written] = torch.tensor(tokens.mask[start:]).long()

    def spread(values: torch.Tensor, fill: float) -> torch.Tensor:
        rows = torch.full(shape, fill)
        rows[trained.bool()] = values
        return rows

    prompts = torch.tensor([tokens.ids[:start] for tokens in sequences])
    return {
        "prompt_ids": prompts,
        "prompt_mask": torch.ones_like(prompts),
        "completion_ids": ids,
        "completion_mask": present,
        "tool_mask": trained,
        "advantages": torch.tensor([advantages[data.owner[place]] for place in places]),
        "old_per_token_logps": spread(old, 0.0),
        "ref_per_token_logps": spread(reference, 0.0),
        "importance_sampling_ratio": spread(torch.exp(old - stored).clamp(max=cap), 1.0),
        "num_items_in_batch": trained.sum(),
    }


def trl_trainer(model: Any, tokenizer: Any, folder: str, samples: int, **options: Any) -> Any:
    """TRL's `GRPOTrainer`, ready for `_compute_loss` on batches that an engine sampled."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            output_dir=folder,
            report_to=[],
            per_device_train_batch_size=samples,
            num_generations=samples,
            **{"activation_checkpointing": False, "loss_type": "dapo", **options},
        ),
        train_dataset=Dataset.from_list([{"prompt": "1 2 3"}] * samples),
        processing_class=tokenizer,
    )
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
    trainer.current_gradient_accumulation_steps = 1
    model.train()
    return trainer
