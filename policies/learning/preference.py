"""DPO and KTO on the store: what was verified against what failed on the same prompt.

DPO: arXiv:2305.18290. KTO: arXiv:2402.01306. Rows are the exact tokens; in the turns of an attempt
only what the policy wrote counts. The reference is the policy that training began with: the base,
or the parent that it goes on from.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from policies.learning.batch import Groups, Trajectory
from policies.learning.errors import LearningError
from policies.learning.hf import TrlConfig, adapted, arguments, fit
from policies.learning.run import Run
from policies.learning.tokens import Tokens


class PreferenceConfig(TrlConfig):
    """Settings of DPO and KTO: `beta` is the weight of the reference, `pairs` bounds a prompt's."""

    learning_rate: float = Field(2e-5, gt=0)
    batch: int = Field(2, ge=2)
    accumulate: int = Field(1, ge=1)
    beta: float = Field(0.1, gt=0)
    pairs: int = Field(4, ge=1, description="pairs of a prompt at most")


@dataclass(frozen=True)
class Pair:
    """Two trajectories of one prompt, of which the first had the higher reward."""

    chosen: Tokens
    rejected: Tokens


def pairs_of(groups: Groups, config: PreferenceConfig) -> list[Pair]:
    """Pairs within each group, those furthest apart in reward first, and of these each trajectory
    once before one comes again; none of equal reward."""
    made: list[Pair] = []
    for group in groups.groups:
        by_reward = sorted(group.trajectories, key=lambda one: -(one.reward or 0.0))
        last = len(by_reward) - 1
        candidates = [
            ((bad.reward or 0.0) - (good.reward or 0.0), abs(place + other - last), good, bad)
            for place, good in enumerate(by_reward)
            for other, bad in enumerate(by_reward)
            if (good.reward or 0.0) > (bad.reward or 0.0) and _single(good) and _single(bad)
        ]
        candidates.sort(key=lambda candidate: candidate[:2])
        for *_, good, bad in candidates[: config.pairs]:
            pair = Pair(good.sequences[0], bad.sequences[0])
            if pair.chosen.ids != pair.rejected.ids and _fits(pair, config):
                made.append(pair)
    return made


def _single(one: Trajectory) -> bool:
    return len(one.sequences) == 1


def _fits(pair: Pair, config: TrlConfig) -> bool:
    return max(len(pair.chosen.ids), len(pair.rejected.ids)) <= config.longest


def dpo(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[Pair],
    config: PreferenceConfig,
    run: Run,
    parent: Path | None = None,
) -> Path:
    """Train an adapter on pairs by DPO; returns its folder. Goes on where a run was stopped."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    need(pairs)

    class Trainer(DPOTrainer):  # type: ignore[misc]
        """Takes rows as they are: they hold tokens already."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    rows = [
        {
            "chosen_ids": list(pair.chosen.ids),
            "chosen_mask": list(map(int, pair.chosen.mask)),
            "rejected_ids": list(pair.rejected.ids),
            "rejected_mask": list(map(int, pair.rejected.mask)),
        }
        for pair in pairs
    ]
    more = {"beta": config.beta, "remove_unused_columns": False}
    trainer = Trainer(
        model=adapted(model, config, parent),
        args=DPOConfig(**arguments(config, run, model.dtype, **more)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=_collate_pairs,
    )
    return fit(trainer, run, {"pairs": len(pairs)})


def kto(
    model: Any,
    tokenizer: Any,
    groups: Groups,
    config: PreferenceConfig,
    run: Run,
    parent: Path | None = None,
) -> Path:
    """Train an adapter by KTO on single samples: those with a reward of at least half are good.

    Returns the adapter's folder. Goes on where a run was stopped.
    """
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    class Trainer(KTOTrainer):  # type: ignore[misc]
        """Takes rows as they are: they hold tokens already."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    rows = _unpaired(groups, config)
    labels = [row["label"] for row in rows]
    if not any(labels) or all(labels):
        raise LearningError(
            f"KTO needs good and bad samples; of {len(rows)} samples {sum(labels)} are good: roll "
            "out tasks that are solved sometimes."
        )
    good, bad = sum(labels), len(labels) - sum(labels)
    more = {
        "beta": config.beta,
        "remove_unused_columns": False,
        "train_sampling_strategy": "sequential",
        "desirable_weight": max(1.0, bad / good),
        "undesirable_weight": max(1.0, good / bad),
    }
    trainer = Trainer(
        model=adapted(model, config, parent),
        args=KTOConfig(**arguments(config, run, model.dtype, **more)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=_collate_singles,
    )
    return fit(trainer, run, {"good": good, "bad": bad})


def need(pairs: Sequence[Pair]) -> None:
    """Raise LearningError when there is no pair."""
    if not pairs:
        raise LearningError(
            "there is no pair of a better and a worse sample of one prompt: roll out more samples "
            "of tasks that are solved sometimes."
        )


def _collate_pairs(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The chosen sequences of a batch, then the rejected ones, padded on the right."""
    parts = [
        (row[f"{kind}_ids"], row[f"{kind}_mask"]) for kind in ("chosen", "rejected") for row in rows
    ]
    return _padded(parts)


def _unpaired(groups: Groups, config: PreferenceConfig) -> list[dict[str, Any]]:
    """Single samples in an order that the seed decides, each with its label.

    KTO estimates the distance from the reference on completions that answer another prompt: that of
    the nearest sample before it which has another one, if any has.
    """
    singles = [
        (tokens, (one.reward or 0.0) >= 0.5)
        for group in groups.groups
        for one in group.trajectories
        for tokens in one.sequences
        if len(tokens.ids) <= config.longest
    ]
    random.Random(config.seed).shuffle(singles)  # noqa: S311 - no secret
    rows = []
    for place, (tokens, label) in enumerate(singles):
        before = (singles[place - back][0] for back in range(1, len(singles)))
        others = (one for one in before if _prompt(one) != _prompt(tokens))
        other = next(others, singles[place - 1][0])
        mine, theirs = tokens.mask.index(True), other.mask.index(True)
        rows.append(
            {
                "ids": list(tokens.ids),
                "mask": list(map(int, tokens.mask)),
                "kl_ids": list(tokens.ids[:mine] + other.ids[theirs:]),
                "kl_mask": [0] * mine + list(map(int, other.mask[theirs:])),
                "label": label,
            }
        )
    return rows


def _prompt(tokens: Tokens) -> tuple[int, ...]:
    return tokens.ids[: tokens.mask.index(True)]


def _collate_singles(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    import torch

    own = _padded([(row["ids"], row["mask"]) for row in rows])
    moved = _padded([(row["kl_ids"], row["kl_mask"]) for row in rows])
    labels = torch.tensor([bool(row["label"]) for row in rows])
    return {**own, **{f"KL_{name}": value for name, value in moved.items()}, "label": labels}


def _padded(parts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> dict[str, Any]:
    import torch

    shape = len(parts), max(len(ids) for ids, _ in parts)
    ids, seen, mask = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
    for place, (own, trained) in enumerate(parts):
        ids[place, : len(own)] = torch.tensor(own)
        mask[place, : len(own)] = torch.tensor(trained)
        seen[place, : len(own)] = 1
    return {"input_ids": ids, "attention_mask": seen, "completion_mask": mask}
