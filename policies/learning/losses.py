"""The formulas of GRPO and PPO, on flat tensors of T trained tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from policies.base import Frozen

if TYPE_CHECKING:
    import torch


class PolicyLossConfig(Frozen):
    """How the policy's loss is made.

    `clip_low` and `clip_high` bound the ratio (clip-higher, DAPO, arXiv:2503.14476, section 3.1);
    `importance_cap` bounds the correction from the engine that sampled to the one that trains
    (truncated importance sampling, as in IMPALA, arXiv:1802.01561); `kl` weighs the distance from
    the reference. With `unbiased_kl` that term is multiplied by the ratio, which makes its gradient
    that of the divergence (DeepSeek-V3.2, arXiv:2512.02556); GRPO as first published does not.
    """

    clip_low: float = Field(0.2, ge=0)
    clip_high: float = Field(0.28, ge=0)
    importance_cap: float = Field(2.0, gt=0)
    kl: float = Field(0.0, ge=0)
    unbiased_kl: bool = True


def policy_terms(
    new: torch.Tensor,
    old: torch.Tensor,
    stored: torch.Tensor,
    advantages: torch.Tensor,
    reference: torch.Tensor | None,
    config: PolicyLossConfig,
) -> torch.Tensor:
    """(T) the loss of each token, to be weighed and summed.

    −min(r·A, clip(r)·A) · min(π_old/μ, cap) + kl·r·k3, r = π_new/π_old (PPO, arXiv:1707.06347,
    eq. 7). `new`, `old`, `stored` and `reference` are log-probabilities (T): of the policy now
    (with gradient), of the policy that training began with, of the engine that sampled, and of
    the reference. The correction is a constant.
    """
    import torch

    ratio = torch.exp(new - old)
    bounded = torch.clamp(ratio, 1 - config.clip_low, 1 + config.clip_high)
    correction = torch.exp(old - stored).clamp(max=config.importance_cap)
    terms = -torch.minimum(ratio * advantages, bounded * advantages) * correction
    if config.kl and reference is not None:
        distance = k3(new, reference)
        terms = terms + config.kl * (ratio * distance if config.unbiased_kl else distance)
    return terms


def k3(new: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """(T) an unbiased, never negative estimate of KL(new ‖ reference): e^d − d − 1, d = ref − new.

    Schulman, "Approximating KL divergence" (2020); in GRPO: arXiv:2402.03300, eq. 4.
    """
    import torch

    gap = reference - new
    return torch.exp(gap) - gap - 1


def clipped_share(
    new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, config: PolicyLossConfig
) -> torch.Tensor:
    """() how many of the tokens are clipped, so that they have no gradient."""
    import torch

    ratio = torch.exp(new.detach() - old)
    low = (ratio < 1 - config.clip_low) & (advantages < 0)
    high = (ratio > 1 + config.clip_high) & (advantages > 0)
    return (low | high).float().sum()


def generalised_advantages(
    values: torch.Tensor, reward: float, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(T), (T): advantages and returns of one trajectory whose reward comes after its last token.

    GAE (arXiv:1506.02438, eq. 16): δ_t = r_t + γ·V_{t+1} − V_t, A_t = δ_t + γλ·A_{t+1}; the
    returns are A + V. `values` (T) are those before each token; after the last one it is 0.
    """
    import torch

    advantages = torch.zeros_like(values)
    following, after = 0.0, 0.0
    for at in range(len(values) - 1, -1, -1):
        paid = reward if at == len(values) - 1 else 0.0
        value = float(values[at])
        following = paid + gamma * after - value + gamma * lam * following
        advantages[at] = following
        after = value
    return advantages, advantages + values


def value_terms(
    new: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, clip: float
) -> torch.Tensor:
    """(T) the clipped loss of values: ½·max((V − R)², (V_clip − R)²), V_clip within `clip` of old.

    As in the reference implementation of PPO; Engstrom et al., arXiv:2005.12729, section 2.
    """
    import torch

    near = old + torch.clamp(new - old, -clip, clip)
    return 0.5 * torch.maximum((new - returns) ** 2, (near - returns) ** 2)


def token_weights(lengths: Sequence[int], *, by_length: bool) -> list[float]:
    """The weight of a token of each trajectory, given how many tokens each has.

    All tokens of a step weigh the same (token-level loss, DAPO, section 3.3), or with `by_length`
    all trajectories do, so that a token of a long one weighs less (GRPO as first published).
    """
    total = sum(lengths)
    if not by_length:
        return [1 / total] * len(lengths)
    return [1 / (len(lengths) * length) for length in lengths]
