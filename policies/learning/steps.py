"""What one optimisation step of GRPO and PPO has in common."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policies.learning.logprobs import Scores
from policies.learning.losses import PolicyLossConfig, clipped_share, k3
from policies.learning.report import Row, peak_memory_mb
from policies.learning.workers import Workers

if TYPE_CHECKING:
    import torch
    from torch import nn


def adam(parameters: Sequence[nn.Parameter], learning_rate: float) -> torch.optim.AdamW:
    """AdamW without decay: an adapter that is pulled to zero is pulled to the reference."""
    import torch

    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)


def update(
    optimiser: torch.optim.Optimizer,
    learning_rate: float,
    grad_clip: float,
    workers: Workers,
) -> float:
    """Sum gradients over the workers, clip them, and step; returns their norm before clipping."""
    import torch

    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    workers.sum_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, grad_clip)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(norm)


def warmed(learning_rate: float, step: int, warmup: int) -> float:
    """The learning rate of a step (from 0): rising over `warmup` steps, then as it is."""
    return learning_rate * min(1.0, (step + 1) / (warmup + 1))


@dataclass
class Meter:
    """Sums over the tokens of a step, which become a row of the curves."""

    workers: Workers
    started: float = field(default_factory=time.monotonic)
    totals: dict[str, float] = field(default_factory=dict)

    def add(self, **values: float) -> None:
        """Add to sums by name."""
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0.0) + value

    def add_tokens(
        self,
        scores: Scores,
        old: torch.Tensor,
        reference: torch.Tensor | None,
        advantages: torch.Tensor,
        config: PolicyLossConfig,
    ) -> None:
        """Add what is summed over tokens, which the policy at the start wrote."""
        new = scores.logprobs.detach()
        self.add(
            tokens=float(len(new)),
            entropy=float(scores.entropy.sum()),
            kl_start=float(k3(old, new).sum()),
            clip_fraction=float(clipped_share(new, old, advantages, config)),
        )
        if reference is not None:
            self.add(kl=float(((new - old).exp() * k3(new, reference)).sum()))

    def row(self, step: int, rewards: Sequence[float], **more: float) -> Row:
        """The row of a step; `more` are numbers that are the same for all workers."""
        found = self.workers.merged({self.workers.rank: sorted(self.totals)})
        names = sorted({name for own in found.values() for name in own})
        own = [self.totals.get(name, 0.0) for name in names]
        summed = dict(zip(names, self.workers.sum(own), strict=True))
        tokens = max(1.0, summed.pop("tokens", 0.0))
        seconds = time.monotonic() - self.started
        per_token = ("entropy", "kl", "kl_start", "clip_fraction")
        return {
            "step": float(step),
            "reward": sum(rewards) / len(rewards),
            **{
                name: value / tokens if name in per_token else value
                for name, value in summed.items()
            },
            "length": tokens / len(rewards),
            "tokens": tokens,
            "tokens_per_second": tokens / seconds,
            "seconds": seconds,
            "memory_mb": peak_memory_mb(),
            **more,
        }
