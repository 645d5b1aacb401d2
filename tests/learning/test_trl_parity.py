"""GRPO's loss and gradients are those of TRL's GRPOTrainer on the same batch."""

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig as TrlGrpoConfig
from trl import GRPOTrainer

from policies.learning.base import POLICY, SharedBase
from policies.learning.data import by_token, lay_out
from policies.learning.grpo import GrpoConfig, advantages_of
from policies.learning.losses import PolicyLossConfig, policy_terms, token_weights
from policies.learning.packed import pack
from tests.learning.tiny import ADAPTERS, random_groups, tiny_model, tiny_tokenizer


@pytest.mark.parametrize(("kl", "by_length"), [(0.0, False), (0.1, False), (0.1, True)])
def test_the_loss_is_trls(tmp_path, kl, by_length):
    data = lay_out(random_groups(tiny_model(), groups=1, samples=4))
    config = GrpoConfig(loss=PolicyLossConfig(kl=kl), by_length=by_length)
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
    base.peft.zero_grad()

    trainer = GRPOTrainer(
        model=base.peft,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=TrlGrpoConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            report_to=[],
            per_device_train_batch_size=4,
            num_generations=4,
            gradient_checkpointing=False,
            beta=kl,
            epsilon=config.loss.clip_low,
            epsilon_high=config.loss.clip_high,
            loss_type="grpo" if by_length else "dapo",
        ),
        train_dataset=Dataset.from_list([{"prompt": "1 2 3"}] * 4),
        processing_class=tiny_tokenizer(),
    )
    # As after a generation by vLLM: its log-probabilities were corrected for with truncated ratios.
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
    trainer.current_gradient_accumulation_steps = 1
    base.peft.train()
    expected = trainer._compute_loss(base.peft, inputs_of(data, packed, old, stored, reference, config))
    expected.backward()
    assert float(ours.detach()) == pytest.approx(float(expected.detach()), rel=1e-5, abs=1e-6)
    for found, parameter in zip(gradients, base.parameters(POLICY), strict=True):
        assert (found - parameter.grad).norm() / parameter.grad.norm() < 1e-4


def inputs_of(data, packed, old, stored, reference, config):
    """The batch as TRL lays it out: prompts, and completions padded on the right."""
    start = data.sequences[0].mask.index(True)
    longest = max(len(t.ids) for t in data.sequences) - start
    count = len(data.sequences)
    ids, present, trained = (torch.zeros(count, longest, dtype=torch.int64) for _ in range(3))
    for row, tokens in enumerate(data.sequences):
        written = len(tokens.ids) - start
        ids[row, :written] = torch.tensor(tokens.ids[start:])
        present[row, :written] = 1
        trained[row, :written] = torch.tensor(tokens.mask[start:]).long()
    places = trained.bool()

    def spread(values, fill):
        rows = torch.full((count, longest), fill)
        rows[places] = values
        return rows

    ratio = torch.exp(old - stored).clamp(max=config.loss.importance_cap)
    prompts = torch.tensor([tokens.ids[:start] for tokens in data.sequences])
    return {
        "prompt_ids": prompts,
        "prompt_mask": torch.ones_like(prompts),
        "completion_ids": ids,
        "completion_mask": present,
        "tool_mask": trained,
        "advantages": torch.tensor(advantages_of(data, config)),
        "old_per_token_logps": spread(old, 0.0),
        "ref_per_token_logps": spread(reference, 0.0),
        "importance_sampling_ratio": spread(ratio, 1.0),
        "num_items_in_batch": trained.sum(),
    }
