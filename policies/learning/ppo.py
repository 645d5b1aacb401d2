"""PPO on logged trajectories, with a value adapter and head on the policy's own frozen base.

Schulman et al., Proximal policy optimization (arXiv:1707.06347); advantages by GAE
(arXiv:1506.02438) over the tokens that the policy wrote, the reward after the last one; a clipped
loss for values. Values and advantages are computed anew before each pass over the data. As in GRPO,
the distance from the reference may be a term of the loss, not of the reward.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from policies.learning.base import POLICY, VALUE, SharedBase
from policies.learning.config import PolicyTrainerConfig
from policies.learning.data import Data, by_token, joined
from policies.learning.losses import (
    generalised_advantages,
    policy_terms,
    token_weights,
    value_terms,
)
from policies.learning.prepare import prepare, recomputed
from policies.learning.run import Run
from policies.learning.steps import Meter, adam, update, warmed

if TYPE_CHECKING:
    import torch


class PpoConfig(PolicyTrainerConfig):
    """PPO's own settings. In the first `value_passes` over the data only the values are trained.

    They begin at zero: without such a pass the first advantages know no baseline but the mean. What
    is far from its value is not clipped there.
    """

    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(1.0, ge=0, le=1)
    value_clip: float = Field(0.2, gt=0)
    value_learning_rate: float = Field(1e-4, gt=0)
    value_passes: int = Field(1, ge=0)
    whiten: bool = True


def estimates(
    data: Data, values: list[torch.Tensor], config: PpoConfig
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Advantages and returns by sequence, from values by sequence (one a trained token).

    The sequences of a trajectory follow one another; the reward comes after the last token. With
    `whiten` the advantages of all tokens have mean 0 and standard deviation 1.
    """
    import torch

    own: list[list[int]] = [[] for _ in data.rewards]
    for place, owner in enumerate(data.owner):
        own[owner].append(place)
    advantages, returns = [torch.empty(0)] * len(values), [torch.empty(0)] * len(values)
    for places, reward in zip(own, data.rewards, strict=True):
        lengths = [len(values[place]) for place in places]
        found = generalised_advantages(joined(values, places), reward, config.gamma, config.lam)
        for kept, parts in zip((advantages, returns), found, strict=True):
            for place, part in zip(places, parts.split(lengths), strict=True):
                kept[place] = part
    if config.whiten:
        every = torch.cat(advantages)
        mean, spread = every.mean(), every.std(correction=0) + 1e-8
        advantages = [(one - mean) / spread for one in advantages]
    return advantages, returns


def values_before(
    step: int, base: SharedBase, data: Data, config: PpoConfig, run: Run
) -> list[torch.Tensor]:
    """By sequence, the values of trained tokens (float32, on the CPU): all 0 before any step."""
    import torch

    if step == 0:
        return [torch.zeros(tokens.trained) for tokens in data.sequences]
    return recomputed(base, data, config.data, run, VALUE)


def train(base: SharedBase, data: Data, config: PpoConfig, run: Run) -> Path:
    """Train the policy's and the value's adapter; returns the policy's folder.

    Goes on where a run was stopped. Raises LearningError when another policy sampled the data.
    """
    start = prepare(base, data, config, run)
    optimisers = [
        adam(base.parameters(POLICY), config.learning_rate),
        adam(base.parameters(VALUE), config.value_learning_rate),
    ]
    step = run.restore(base, optimisers)
    per_epoch = data.steps_per_epoch(config.data)
    alone = config.value_passes * per_epoch
    steps = alone + (config.steps or per_epoch)
    while step < steps:
        meter = Meter(run.workers)
        if step % per_epoch == 0:
            run.extra["values"] = values_before(step, base, data, config, run)
        values = [tensor.to(base.device) for tensor in run.extra["values"]]
        advantages, returns = estimates(data, values, config)
        groups = data.order(step, config.data, config.seed)
        members = [member for group in groups for member in data.members[group]]
        lengths = data.lengths
        shares = token_weights([lengths[m] for m in members], by_length=False)
        weights = dict(zip(members, shares, strict=True))
        packs = [found for group in groups for found in data.packs(group, config.data)]
        for places, packed in run.workers.mine(packs):
            packed = packed.to(base.device)
            weight = by_token(data, places, packed, weights)
            with base.active(VALUE):
                new = base.values(packed)
                near = math.inf if step < alone else config.value_clip
                errors = value_terms(new, joined(values, places), joined(returns, places), near)
                value_loss = (errors * weight).sum()
                value_loss.backward()
            meter.add(value_loss=float(value_loss.detach()))
            if step < alone:
                meter.add(tokens=float(len(new)))
                continue
            old, advantage = joined(start.old, places), joined(advantages, places)
            reference = joined(start.reference, places) if start.reference else None
            with base.active(POLICY):
                scores = base.logprobs(packed)
                terms = policy_terms(
                    scores.logprobs, old, packed.logprobs, advantage, reference, config.loss
                )
                loss = (terms * weight).sum()
                loss.backward()
            meter.add(loss=float(loss.detach()))
            meter.add_tokens(scores, old, reference, advantage, config.loss)
        norms = {}
        if step >= alone:
            rate = warmed(config.learning_rate, step - alone, config.warmup)
            norms["grad_norm"] = update(optimisers[0], rate, config.grad_clip, run.workers)
        update(optimisers[1], config.value_learning_rate, config.grad_clip, run.workers)
        step += 1
        rewards = [data.rewards[member] for member in members]
        run.record(meter.row(step, rewards, **norms), steps)
        if step % config.save_every == 0 or step == steps:
            run.save(step, base, optimisers)
    return run.finish(base, {"steps": step, "drift": vars(start.drift), "left_out": data.left_out})
