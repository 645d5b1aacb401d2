"""GRPO's loss and gradients are those of TRL's GRPOTrainer on the same batch."""

import pytest
import torch
from peft import get_peft_model

from benchmarks.learning.groups import trl_batch, trl_trainer
from policies.learning.base import POLICY, SharedBase, lora
from policies.learning.data import by_token, lay_out
from policies.learning.grpo import GrpoConfig, advantages_of
from policies.learning.losses import PolicyLossConfig, policy_terms, token_weights
from policies.learning.packed import pack
from tests.learning.tiny import ADAPTERS, random_groups, tiny_model, tiny_tokenizer


@pytest.mark.parametrize(
    ("kl", "unbiased", "by_length"),
    [(0.0, True, False), (0.1, True, False), (0.1, False, True)],
)
def test_the_loss_is_trls(tmp_path, kl, unbiased, by_length):
    data = lay_out(random_groups(tiny_model(), groups=1, samples=4))
    config = GrpoConfig(loss=PolicyLossConfig(kl=kl, unbiased_kl=unbiased), by_length=by_length)
    base = SharedBase(tiny_model(), ADAPTERS)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in base.parameters(POLICY):
            parameter.normal_(std=0.1)
    packed = pack(data.sequences)
    old = packed.logprobs + 0.3 * torch.randn(packed.trained)
    stored = old + 0.5 * torch.randn(packed.trained)
    reference = packed.logprobs
    advantage = by_token(data, data.groups[0], packed, advantages_of(data, config))

    shares = token_weights(data.lengths, by_length=by_length)
    new = base.logprobs(packed).logprobs
    terms = policy_terms(new, old, stored, advantage, reference, config.loss)
    ours = (terms * by_token(data, data.groups[0], packed, shares)).sum()
    ours.backward()
    gradients = [p.grad.clone() for p in base.parameters(POLICY)]

    # TRL gives the reference an adapter of its own; it knows the policy's as "default".
    theirs = get_peft_model(tiny_model(), lora(ADAPTERS))
    trained = [p for p in theirs.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter, own in zip(trained, base.parameters(POLICY), strict=True):
            parameter.copy_(own)
    trainer = trl_trainer(
        theirs,
        tiny_tokenizer(),
        str(tmp_path),
        samples=4,
        use_cpu=True,
        bf16=False,
        beta=kl,
        use_bias_correction_kl=unbiased,
        epsilon=config.loss.clip_low,
        epsilon_high=config.loss.clip_high,
        loss_type="grpo" if by_length else "dapo",
    )
    cap = config.loss.importance_cap
    advantages = advantages_of(data, config)
    batch = trl_batch(data, data.groups[0], advantages, old, stored, reference, cap)
    expected = trainer._compute_loss(theirs, batch)
    expected.backward()
    assert float(ours.detach()) == pytest.approx(float(expected.detach()), rel=1e-5, abs=1e-6)
    for found, parameter in zip(gradients, trained, strict=True):
        assert (found - parameter.grad).norm() / parameter.grad.norm() < 1e-4
