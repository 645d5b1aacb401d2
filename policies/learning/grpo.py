"""GRPO on logged groups: group-relative policy optimisation with a leave-one-out baseline.

Shao et al., DeepSeekMath (arXiv:2402.03300); the baseline of RLOO (arXiv:2402.14740); without
division by the standard deviation or by the length, which bias it (Dr. GRPO, arXiv:2503.20783);
token-level loss and clip-higher of DAPO (arXiv:2503.14476); truncated importance sampling between
the engine that sampled and the weights that are trained. The reference is the base with its
adapters off.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from policies.learning.base import POLICY, SharedBase
from policies.learning.batch import leave_one_out
from policies.learning.config import PolicyTrainerConfig
from policies.learning.data import Data, by_token, joined
from policies.learning.losses import policy_terms, token_weights
from policies.learning.prepare import prepare
from policies.learning.run import Run
from policies.learning.steps import Meter, adam, update, warmed


class GrpoConfig(PolicyTrainerConfig):
    """GRPO's own settings: both divisions are off, as they bias the gradient."""

    scale_by_std: bool = False
    by_length: bool = False


def advantages_of(data: Data, config: GrpoConfig) -> list[float]:
    """The advantage of each trajectory: its reward less the mean of the others of its group."""
    found = [0.0] * len(data.rewards)
    for members in data.members:
        rewards = [data.rewards[member] for member in members]
        spread = statistics.stdev(rewards) + 1e-4 if config.scale_by_std else 1.0
        for member, advantage in zip(members, leave_one_out(rewards), strict=True):
            found[member] = advantage / spread
    return found


def train(base: SharedBase, data: Data, config: GrpoConfig, run: Run) -> Path:
    """Train the policy's adapter on the data; returns its folder. Goes on where a run was stopped.

    Raises LearningError when the data was sampled by another policy.
    """
    start = prepare(base, data, config, run)
    advantages = advantages_of(data, config)
    optimiser = adam(base.parameters(POLICY), config.learning_rate)
    step = run.restore(base, [optimiser])
    steps = config.steps or data.steps_per_epoch(config.data)
    while step < steps:
        meter = Meter(run.workers)
        groups = data.order(step, config.data, config.seed)
        members = [member for group in groups for member in data.members[group]]
        lengths = data.lengths
        shares = token_weights([lengths[m] for m in members], by_length=config.by_length)
        weights = dict(zip(members, shares, strict=True))
        packs = [found for group in groups for found in data.packs(group, config.data)]
        with base.active(POLICY):
            for places, packed in run.workers.mine(packs):
                packed = packed.to(base.device)
                old = joined(start.old, places)
                reference = joined(start.reference, places) if start.reference else None
                advantage = by_token(data, places, packed, advantages)
                scores = base.logprobs(packed)
                terms = policy_terms(
                    scores.logprobs, old, packed.logprobs, advantage, reference, config.loss
                )
                loss = (terms * by_token(data, places, packed, weights)).sum()
                loss.backward()
                meter.add(loss=float(loss.detach()))
                meter.add_tokens(scores, old, reference, advantage, config.loss)
        rate = warmed(config.learning_rate, step, config.warmup)
        norm = update(optimiser, rate, config.grad_clip, run.workers)
        step += 1
        rewards = [data.rewards[member] for member in members]
        run.record(meter.row(step, rewards, grad_norm=norm), steps)
        if step % config.save_every == 0 or step == steps:
            run.save(step, base, [optimiser])
    return run.finish(base, {"steps": step, "drift": vars(start.drift), "left_out": data.left_out})
