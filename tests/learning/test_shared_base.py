"""Adapters on one base against full copies: the same losses, the same gradients (float32)."""

import copy

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import Qwen2ForSequenceClassification

from policies.learning.base import POLICY, VALUE, SharedBase, lora
from policies.learning.data import by_token, lay_out
from policies.learning.errors import LearningError
from policies.learning.grpo import GrpoConfig, advantages_of
from policies.learning.judge import add_judge
from policies.learning.losses import (
    PolicyLossConfig,
    generalised_advantages,
    policy_terms,
    value_terms,
)
from policies.learning.packed import pack
from tests.learning.tiny import ADAPTERS, random_groups, tiny_model

LOSS = PolicyLossConfig(kl=0.1)
TOLERANCE = 1e-5


class Copies:
    """Policy, reference and value as three whole models; adapters are added into the weights."""

    def __init__(self, base):
        self.policy = tiny_model()
        self.reference = copy.deepcopy(self.policy)
        self.value = copy.deepcopy(self.policy)
        self.head = copy.deepcopy(base.value_head)
        self.lora = {}
        for role, model in ((POLICY, self.policy), (VALUE, self.value)):
            for name, parameter in base.named_parameters(role).items():
                if not name.startswith("head."):
                    self.lora[role, name] = parameter.detach().clone().requires_grad_()
            merge(model, role, self.lora)

    def logprobs(self, model, tokens):
        ids = torch.tensor([tokens.ids])
        logits = model(input_ids=ids).logits.log_softmax(-1)[0, :-1]
        mask = torch.tensor(tokens.mask[1:])
        return logits.gather(1, ids[0, 1:, None])[:, 0][mask]

    def values(self, tokens):
        hidden = self.value.model(input_ids=torch.tensor([tokens.ids])).last_hidden_state
        return self.head(hidden[0, :-1])[:, 0][torch.tensor(tokens.mask[1:])]


def merge(model, role, lora):
    """Make each weight W + scale·B·A, a function of the adapter's tensors."""
    scale = ADAPTERS.alpha / ADAPTERS.rank
    for key in [key for key in lora if key[0] == role and ".lora_A." in key[1]]:
        name = key[1].removeprefix("base_model.model.").split(".lora_A.")[0]
        module = model.get_submodule(name)
        below = lora[key]
        above = lora[role, key[1].replace(".lora_A.", ".lora_B.")]
        merged = module.weight.detach() + scale * above @ below
        del module.weight
        module.weight = merged


@pytest.fixture(scope="module")
def setting():
    groups = random_groups(tiny_model(), groups=1, samples=4)
    data = lay_out(groups)
    base = SharedBase(tiny_model(), ADAPTERS, value=True)
    torch.manual_seed(3)
    with torch.no_grad():
        for role in (POLICY, VALUE):
            for parameter in base.parameters(role):
                parameter.normal_(std=0.1)
    return data, base, Copies(base)


def close(found, expected):
    return (found - expected).norm() / expected.norm() < TOLERANCE


def gradients(base, role):
    found = {n: p.grad.clone() for n, p in base.named_parameters(role).items()}
    base.peft.zero_grad()
    return found


def test_policy_and_reference(setting):
    data, base, copies = setting
    places = data.groups[0]
    packed = pack(data.sequences)
    advantage = by_token(data, places, packed, advantages_of(data, GrpoConfig()))
    stored = packed.logprobs
    old = stored + 0.05
    with torch.no_grad(), base.active("reference"):
        reference = base.logprobs(packed).logprobs
    expected_reference = torch.cat([copies.logprobs(copies.reference, t) for t in data.sequences])
    assert torch.allclose(reference, expected_reference, atol=TOLERANCE, rtol=0)

    with base.active(POLICY):
        new = base.logprobs(packed).logprobs
        loss = policy_terms(new, old, stored, advantage, reference, LOSS).mean()
        loss.backward()
    found = gradients(base, POLICY)

    whole = torch.cat([copies.logprobs(copies.policy, t) for t in data.sequences])
    expected = policy_terms(whole, old, stored, advantage, expected_reference, LOSS).mean()
    expected.backward(retain_graph=True)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=TOLERANCE)
    assert len(found) == 2 * 2 * 7
    for name, gradient in found.items():
        assert close(gradient, copies.lora[POLICY, name].grad), name


def test_value(setting):
    data, base, copies = setting
    packed = pack(data.sequences)
    with base.active(VALUE):
        new = base.values(packed)
        old = new.detach() - 0.05
        parts = old.split([t.trained for t in data.sequences])
        estimated = [
            generalised_advantages(part, reward, 0.99, 0.9)
            for part, reward in zip(parts, data.rewards, strict=True)
        ]
        returns = torch.cat([returns for _, returns in estimated])
        loss = value_terms(new, old, returns, 0.2).mean()
        loss.backward()
    found = gradients(base, VALUE)
    head = copy.deepcopy(base.value_head.weight.grad)

    whole = torch.cat([copies.values(t) for t in data.sequences])
    assert torch.allclose(new, whole, atol=TOLERANCE, rtol=0)
    expected = value_terms(whole, old, returns, 0.2).mean()
    expected.backward(retain_graph=True)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=TOLERANCE)
    assert close(head, copies.head.weight.grad)
    for name, gradient in found.items():
        if not name.startswith("head."):
            assert close(gradient, copies.lora[VALUE, name].grad), name


def test_training_one_role_leaves_the_others_and_the_base(setting):
    _, base, _ = setting
    fresh = SharedBase(tiny_model(), ADAPTERS, value=True)
    packed = pack(lay_out(random_groups(tiny_model(), groups=1)).sequences)
    with fresh.active(VALUE):
        fresh.values(packed).sum().backward()
    assert all(p.grad is None for p in fresh.parameters(POLICY))
    with fresh.active(POLICY):
        fresh.logprobs(packed).logprobs.sum().backward()
    assert all(p.grad is not None for p in fresh.parameters(POLICY))
    trained = {id(p) for role in (POLICY, VALUE) for p in fresh.parameters(role)}
    assert all(p.grad is None for p in fresh.peft.parameters() if id(p) not in trained)
    weights = tiny_model().model.layers[0].mlp.up_proj.weight
    assert torch.equal(
        base.peft.get_base_model().model.layers[0].mlp.up_proj.base_layer.weight, weights
    )


def test_a_new_base_is_its_own_reference_with_values_of_zero():
    base = SharedBase(tiny_model(), ADAPTERS, value=True)
    packed = pack(lay_out(random_groups(tiny_model(), groups=1)).sequences)
    assert torch.allclose(base.logprobs(packed).logprobs, packed.logprobs, atol=TOLERANCE, rtol=0)
    with base.active(VALUE):
        assert base.values(packed).abs().max() == 0


def test_recomputed_activations_give_the_same_gradients():
    packed = pack(lay_out(random_groups(tiny_model(), groups=1)).sequences)
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(5)
        base = SharedBase(tiny_model(), ADAPTERS, value=True, checkpointing=checkpointing)
        base.logprobs(packed).logprobs.sum().backward()
        with base.active(VALUE):
            base.values(packed).sum().backward()
        found.append([p.grad for p in (*base.parameters(POLICY), *base.parameters(VALUE))])
    for plain, recomputed in zip(*found, strict=True):
        assert torch.equal(plain, recomputed)


def test_the_adapter_is_one_that_peft_loads(tmp_path, setting):
    data, base, _ = setting
    base.save_adapter(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(tiny_model(), str(tmp_path / "adapter"))
    ids = torch.tensor([data.sequences[0].ids])
    with torch.no_grad(), base.active(POLICY):
        assert torch.equal(loaded(input_ids=ids).logits, base.peft(input_ids=ids).logits)
    again = SharedBase(tiny_model(), ADAPTERS, parent=tmp_path / "adapter")
    for own, other in zip(base.parameters(POLICY), again.parameters(POLICY), strict=True):
        assert torch.equal(own, other)
        assert other.requires_grad


def test_an_adapter_of_another_shape_is_refused(tmp_path, setting):
    setting[1].save_adapter(tmp_path / "adapter")
    with pytest.raises(LearningError, match="does not fit this model"):
        SharedBase(tiny_model(hidden=64), ADAPTERS, parent=tmp_path / "adapter")
    with pytest.raises(LearningError, match="does not fit this model"):
        SharedBase(tiny_model(), ADAPTERS, parent=tmp_path / "nothing")


def test_a_reward_model_on_the_shared_base_scores_as_a_model_of_its_own(tmp_path):
    torch.manual_seed(4)
    config = tiny_model().config
    config.num_labels, config.pad_token_id = 1, 60
    alone = Qwen2ForSequenceClassification(config).eval()
    alone.model.load_state_dict(tiny_model().model.state_dict())
    own = get_peft_model(alone, lora(ADAPTERS, task="SEQ_CLS"))
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    own.save_pretrained(tmp_path)
    sequences = lay_out(random_groups(tiny_model(), groups=1)).sequences
    with torch.no_grad():
        expected = [float(own(input_ids=torch.tensor([t.ids])).logits) for t in sequences]

    base = SharedBase(tiny_model(), ADAPTERS, value=True)
    before = base.logprobs(pack(sequences)).logprobs
    judge = add_judge(base, tmp_path)
    assert judge.scores(sequences).tolist() == pytest.approx(expected, abs=TOLERANCE)
    assert torch.equal(base.logprobs(pack(sequences)).logprobs, before)
    base.save_adapter(tmp_path / "policy")
    with pytest.raises(LearningError, match="no reward model"):
        add_judge(base, tmp_path / "policy")
