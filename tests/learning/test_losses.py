"""The formulas against numbers worked out by hand and against simpler code."""

import math

import pytest
import torch

from policies.learning.losses import (
    PolicyLossConfig,
    clipped_share,
    generalised_advantages,
    k3,
    policy_terms,
    token_weights,
    value_terms,
)

CONFIG = PolicyLossConfig(clip_low=0.2, clip_high=0.28, importance_cap=2.0)


def logs(*ratios):
    return torch.log(torch.tensor(ratios))


def test_gradients_stop_beyond_the_clip_on_the_side_that_helps():
    new = logs(0.5, 0.5, 1.1, 1.4, 1.4).requires_grad_()
    old = torch.zeros(5)
    advantages = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    terms = policy_terms(new, old, old, advantages, None, CONFIG)
    assert terms.tolist() == pytest.approx([-0.5, 0.8, -1.1, -1.28, 1.4])
    terms.sum().backward()
    assert new.grad.tolist() == pytest.approx([-0.5, 0.0, -1.1, 0.0, 1.4])
    assert float(clipped_share(new, old, advantages, CONFIG)) == 2


def test_the_correction_for_the_engine_is_capped_and_constant():
    new = torch.zeros(3, requires_grad=True)
    stored = logs(0.5, 2.0, 0.1)
    terms = policy_terms(new, torch.zeros(3), stored, torch.ones(3), None, CONFIG)
    assert terms.tolist() == pytest.approx([-2.0, -0.5, -2.0])
    terms.sum().backward()
    assert new.grad.tolist() == pytest.approx([-2.0, -0.5, -2.0])


def test_k3_is_the_divergence_on_average_and_never_negative():
    torch.manual_seed(0)
    policy, reference = torch.randn(2, 8).log_softmax(-1)
    estimate = (policy.exp() * k3(policy, reference)).sum()
    assert float(estimate) == pytest.approx(float((policy.exp() * (policy - reference)).sum()))
    assert float(k3(policy, reference).min()) >= 0


def test_kl_is_added_with_its_weight():
    new = logs(0.3)
    config = PolicyLossConfig(kl=0.5)
    terms = policy_terms(new, new, new, torch.zeros(1), logs(0.6), config)
    assert float(terms) == pytest.approx(0.5 * (2 - math.log(2) - 1))


def test_the_gradient_of_the_unbiased_term_is_that_of_the_divergence():
    """On average over the policy's own samples; without the ratio it is another one."""
    torch.manual_seed(0)
    logits = torch.randn(6, requires_grad=True)
    reference = torch.randn(6).log_softmax(-1)
    policy = logits.log_softmax(-1)
    divergence = (policy.exp() * (policy - reference)).sum()
    (expected,) = torch.autograd.grad(divergence, logits, retain_graph=True)
    shares = policy.exp().detach()
    for unbiased in (True, False):
        config = PolicyLossConfig(kl=1.0, unbiased_kl=unbiased)
        old = policy.detach()
        terms = policy_terms(policy, old, old, torch.zeros(6), reference, config)
        (found,) = torch.autograd.grad((shares * terms).sum(), logits, retain_graph=True)
        assert torch.allclose(found, expected, atol=1e-6) == unbiased


def test_gae_is_the_sum_of_discounted_errors():
    values = torch.tensor([0.1, 0.5, 0.2, 0.7])
    gamma, lam, reward = 0.9, 0.8, 2.0
    following = [*values.tolist()[1:], 0.0]
    rewards = [0.0, 0.0, 0.0, reward]
    errors = [
        r + gamma * after - value
        for r, after, value in zip(rewards, following, values.tolist(), strict=True)
    ]
    expected = [
        sum((gamma * lam) ** (later - at) * errors[later] for later in range(at, 4))
        for at in range(4)
    ]
    advantages, returns = generalised_advantages(values, reward, gamma, lam)
    assert advantages.tolist() == pytest.approx(expected)
    assert returns.tolist() == pytest.approx((advantages + values).tolist())


def test_without_discount_the_advantage_is_reward_less_value():
    values = torch.tensor([0.25, 0.5])
    advantages, returns = generalised_advantages(values, 1.0, 1.0, 1.0)
    assert advantages.tolist() == [0.75, 0.5]
    assert returns.tolist() == [1.0, 1.0]


def test_values_are_clipped_around_the_old_ones():
    old = torch.zeros(3)
    new = torch.tensor([0.1, 0.9, 0.9], requires_grad=True)
    terms = value_terms(new, old, torch.tensor([1.0, 1.0, 0.0]), 0.2)
    assert terms.tolist() == pytest.approx([0.5 * 0.81, 0.5 * 0.64, 0.5 * 0.81])
    terms.sum().backward()
    assert new.grad.tolist() == pytest.approx([-0.9, 0.0, 0.9])


def test_all_tokens_weigh_the_same_or_all_trajectories_do():
    assert token_weights([1, 3], by_length=False) == [0.25, 0.25]
    assert token_weights([1, 3], by_length=True) == pytest.approx([0.5, 1 / 6])
