"""What a trainer can be told: one frozen object each, with these parts in common."""

from __future__ import annotations

from pydantic import Field

from policies.base import Frozen
from policies.learning.base import AdapterConfig
from policies.learning.data import DataConfig
from policies.learning.losses import PolicyLossConfig
from policies.learning.rewards import RewardConfig


class DriftConfig(Frozen):
    """How far stored log-probabilities may be from those recomputed, in nats.

    `mean` bounds the mean absolute difference over all trained tokens; of the tokens, at most
    `far_share` may be further apart than `far`. llama.cpp quantises activations: 0.002 for likely
    tokens and 0.02 to 0.18 for tokens between −3 and −10 are usual.
    """

    mean: float = Field(0.1, gt=0)
    far: float = Field(0.5, gt=0)
    far_share: float = Field(0.05, ge=0, le=1)


class PolicyTrainerConfig(Frozen):
    """What GRPO and PPO share. `steps` of the policy; None is one pass over the data."""

    steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(5e-5, gt=0)
    warmup: int = Field(0, ge=0)
    grad_clip: float = Field(1.0, gt=0)
    save_every: int = Field(10, ge=1)
    seed: int = 0
    checkpointing: bool = Field(False, description="recompute activations: less memory, slower")
    adapters: AdapterConfig = AdapterConfig()
    data: DataConfig = DataConfig()
    drift: DriftConfig = DriftConfig()
    rewards: RewardConfig = RewardConfig()
    loss: PolicyLossConfig = PolicyLossConfig()
