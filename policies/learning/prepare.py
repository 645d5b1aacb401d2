"""Before the first step: log-probabilities of the stored tokens, recomputed and compared.

They show whether the tokens, the weights and the engine belong together, and are the policy that
training began with: what importance ratios are taken against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from policies.learning.base import Role, SharedBase
from policies.learning.config import DriftConfig, PolicyTrainerConfig
from policies.learning.data import Data, DataConfig
from policies.learning.errors import LearningError
from policies.learning.run import Run

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Drift:
    """How far stored log-probabilities are from recomputed ones, over `tokens` trained tokens."""

    tokens: int
    mean: float
    far_share: float
    largest: float


@dataclass(frozen=True)
class Start:
    """Log-probabilities by sequence (float32, one a trained token): of the policy at the start, and
    of the reference where the loss needs it."""

    old: list[torch.Tensor]
    reference: list[torch.Tensor] | None
    drift: Drift


def prepare(base: SharedBase, data: Data, config: PolicyTrainerConfig, run: Run) -> Start:
    """Recompute, compare, and keep for the whole run. Raises LearningError on too much drift."""

    def make() -> dict[str, Any]:
        old = recomputed(base, data, config.data, run, "policy")
        drift = measured(data, old, config.drift)
        check(drift, config.drift, data.versions)
        with_kl = config.loss.kl > 0
        reference = recomputed(base, data, config.data, run, "reference") if with_kl else None
        return {"old": old, "reference": reference, "drift": vars(drift)}

    kept = run.once("start", make)
    drift = Drift(**kept["drift"])
    check(drift, config.drift, data.versions)
    device = base.device
    reference = kept["reference"]
    return Start(
        [tensor.to(device) for tensor in kept["old"]],
        None if reference is None else [tensor.to(device) for tensor in reference],
        drift,
    )


def recomputed(
    base: SharedBase, data: Data, config: DataConfig, run: Run, role: Role
) -> list[torch.Tensor]:
    """By sequence, on the CPU: log-probabilities of trained tokens, for "value" their values.

    Computed in the packs that training uses, so that the first step's ratios are exactly 1.
    """
    import torch

    own: dict[int, torch.Tensor] = {}
    with torch.no_grad(), base.active(role):
        for group in run.workers.mine(range(len(data.groups))):
            for places, packed in data.packs(group, config):
                packed = packed.to(base.device)
                values = role == "value"
                found = base.values(packed) if values else base.logprobs(packed).logprobs
                lengths = [data.sequences[place].trained for place in places]
                own |= zip(places, found.cpu().split(lengths), strict=True)
    merged = run.workers.merged(own)
    return [merged[place].clone() for place in range(len(data.sequences))]


def measured(data: Data, found: Sequence[torch.Tensor], config: DriftConfig) -> Drift:
    """Compare stored log-probabilities with recomputed ones."""
    import torch

    stored = torch.tensor(
        [
            logprob
            for tokens in data.sequences
            for logprob, trained in zip(tokens.logprobs, tokens.mask, strict=True)
            if trained
        ]
    )
    gaps = (torch.cat(list(found)) - stored).abs()
    far = (gaps > config.far).float().mean()
    return Drift(len(gaps), float(gaps.mean()), float(far), float(gaps.max()))


def check(drift: Drift, config: DriftConfig, versions: Sequence[str]) -> None:
    """Raise LearningError, with the reason, when a batch has drifted."""
    reasons = []
    if not drift.mean <= config.mean:
        reasons.append(f"{drift.mean:.3f} on average (allowed: {config.mean:g})")
    if not drift.far_share <= config.far_share:
        reasons.append(
            f"more than {config.far:g} for {drift.far_share:.1%} of them "
            f"(allowed: {config.far_share:.1%})"
        )
    if reasons:
        raise LearningError(
            f"this batch was not sampled by this policy: the stored log-probabilities of its "
            f"{drift.tokens} tokens differ from the recomputed ones by {' and by '.join(reasons)}. "
            f"It was sampled by {', '.join(versions) or 'an unknown policy'}: train that one "
            "(--parent for its adapter), or roll out anew."
        )
