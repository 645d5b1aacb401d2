"""The policy in torch keeps the contract of policies: tokens, seeds, cache, limits, adapters."""

from __future__ import annotations

import pytest

from policies.base import Constraint, ContextOverflow, Message, Policy, PolicyError, Sampling
from policies.hub.files import locked
from policies.paths import data_root
from policies.torch.lora import active
from policies.torch.policy import TorchPolicy
from policies.torch.score import score, token_logprobs
from tests.policies.torch.samples import random_adapter

ASK = [
    Message(role="system", content="You write Python."),
    Message(role="user", content="Add two numbers, then the rain."),
]
RANKS = {"a": 4, "b": 2}
FORCED = Constraint(grammar='root ::= "def add(a, b):"')


@pytest.fixture
def policy(tiny_base):
    with TorchPolicy(tiny_base, context_tokens=512, parallel=4) as policy:
        yield policy


def answered(messages, text, then):
    return [*messages, Message(role="assistant", content=text), Message(role="user", content=then)]


def exactly(policy, answer):
    """The log-probabilities of an answer, in one pass without a cache."""
    with active(policy.model, policy._adapter):
        return pytest.approx(
            score(policy.model, answer.prompt_ids, answer.completion_ids), abs=1e-3
        )


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_completions_are_complete(policy, n, temperature):
    assert isinstance(policy, Policy)
    drawn = policy.sample(ASK, n, Sampling(max_tokens=9, temperature=temperature, seed=1))
    assert len(drawn) == n
    for answer in drawn:
        assert answer.usage.prompt == len(answer.prompt_ids) == policy.count_tokens(ASK)
        assert len(answer.logprobs) == len(answer.completion_ids) == answer.usage.completion
        assert answer.policy_version == policy.version
        assert answer.logprobs == exactly(policy, answer)
    assert [answer.usage.cached for answer in drawn[1:4]] == [len(drawn[0].prompt_ids)] * min(
        3, n - 1
    )


def test_rows_that_end_early_leave_the_others_unchanged(policy):
    lengths = Constraint(grammar='root ::= [a-z]{1,12} "."')
    drawn = policy.sample(ASK, 4, Sampling(max_tokens=30, temperature=1.5, seed=2), lengths)
    assert len({len(answer.completion_ids) for answer in drawn}) > 1
    for answer in drawn:
        assert answer.finish_reason == "stop"
        assert answer.completion_ids[-1] in policy._ends
        assert answer.text.endswith(".")
        assert answer.logprobs == exactly(policy, answer)


@pytest.mark.parametrize("constraint", [None, FORCED], ids=["length", "end of turn"])
@pytest.mark.parametrize("n", [1, 3])
def test_a_conversation_keeps_its_tokens_and_its_cache(policy, constraint, n):
    sampling = Sampling(max_tokens=16, temperature=0.9, seed=5)
    chosen = policy.sample(ASK, n, sampling, constraint)[-1]
    follow = answered(ASK, chosen.text, "Now in one line.")
    second = policy.sample(follow, 1, Sampling(max_tokens=4))[0]
    ended = chosen.completion_ids[-1] in policy._ends
    seen = chosen.prompt_ids + (chosen.completion_ids[:-1] if ended else chosen.completion_ids)
    assert second.prompt_ids[: len(seen)] == seen
    assert second.usage.cached >= len(chosen.prompt_ids)
    assert second.logprobs == exactly(policy, second)
    again = policy.sample(ASK, 1, Sampling(max_tokens=4))[0]
    assert again.usage.cached == len(again.prompt_ids) - 1
    assert again.logprobs == exactly(policy, again)


def test_seeds(tiny_base):
    sampling = Sampling(max_tokens=12, temperature=1.0, seed=7)
    drawn = []
    for parallel in (4, 4, 2):
        with TorchPolicy(tiny_base, context_tokens=256, parallel=parallel) as fresh:
            drawn.append([answer.completion_ids for answer in fresh.sample(ASK, 4, sampling)])
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(set(drawn[0])) == 4
    with TorchPolicy(tiny_base, context_tokens=256) as fresh:
        alone = fresh.sample(ASK, 1, sampling.model_copy(update={"seed": 9}))[0]
        assert alone.completion_ids == drawn[0][2]
        unseeded = sampling.model_copy(update={"seed": None})
        a, b = (fresh.sample(ASK, 1, unseeded)[0].completion_ids for _ in range(2))
        assert a != b


def test_truncation(policy):
    greedy = policy.sample(ASK, 1, Sampling(max_tokens=8))[0]
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}):
        sampling = Sampling(max_tokens=8, temperature=2.0, seed=1, **narrow)
        assert policy.sample(ASK, 1, sampling)[0].completion_ids == greedy.completion_ids


def test_drawn_tokens_have_the_models_shares(policy):
    """One token, many times: the shares of the most likely ones within four deviations."""
    sampling = Sampling(max_tokens=1, temperature=1.0, seed=0)
    policy._parallel = 600
    drawn = policy.sample(ASK, 600, sampling)
    counts: dict[int, int] = {}
    for answer in drawn:
        counts[answer.completion_ids[0]] = counts.get(answer.completion_ids[0], 0) + 1
    for token in sorted(counts, key=counts.__getitem__)[-5:]:
        share = 2.718281828 ** score(policy.model, drawn[0].prompt_ids, [token])[0]
        assert counts[token] == pytest.approx(600 * share, abs=4 * (600 * share) ** 0.5)


def test_stop_strings_stay_in_text_and_tokens(policy):
    grammar = Constraint(grammar='root ::= "one two three"')
    answer = policy.sample(ASK, 1, Sampling(max_tokens=30, stop=("two",)), grammar)[0]
    assert answer.text == policy._text.detokenize(list(answer.completion_ids)) == "one two"
    assert answer.finish_reason == "stop"


def test_what_does_not_fit(policy):
    with pytest.raises(ContextOverflow, match="shorten the prompt"):
        policy.sample(ASK, 1, Sampling(max_tokens=500))
    with pytest.raises(PolicyError, match="at least one"):
        policy.sample(ASK, 0, Sampling())


def test_an_error_in_a_report_cancels(policy):
    class Enough(Exception):
        pass

    seen = []

    def progress(step):
        seen.append(step.completion_tokens)
        if len(seen) == 5:
            raise Enough

    with pytest.raises(Enough):
        policy.sample(ASK, 2, Sampling(max_tokens=100, temperature=1.0), on_progress=progress)
    assert seen == sorted(seen)
    assert len(seen) == 5
    after = policy.sample(ASK, 1, Sampling(max_tokens=5))[0]
    assert after.usage.cached == 0
    assert after.logprobs == exactly(policy, after)


def test_another_generation_is_waited_for(policy):
    class TooLong(Exception):
        pass

    def progress(step):
        assert step.completion_tokens == 0
        raise TooLong

    with locked(data_root() / "generation.lock"), pytest.raises(TooLong):
        policy.sample(ASK, 1, Sampling(max_tokens=1), on_progress=progress)


def test_adapters_are_switched(tiny_base, tmp_path):
    folders = {
        name: random_adapter(tiny_base, tmp_path / name, rank=r) for name, r in RANKS.items()
    }
    with TorchPolicy(tiny_base, context_tokens=256) as policy:
        bare = policy.sample(ASK, 1, Sampling(max_tokens=8))[0]
        for name, folder in folders.items():
            policy.load_adapter(folder, name)
        drawn = {}
        for name in ("a", None, "b", "a", None):
            policy.use(name)
            answer = policy.sample(ASK, 1, Sampling(max_tokens=8))[0]
            assert answer.logprobs == exactly(policy, answer)
            assert answer.policy_version == policy.version
            assert ("+adapter:" in policy.version) == (name is not None)
            known = drawn.setdefault(name, answer)
            assert known.completion_ids == answer.completion_ids
            assert known.policy_version == answer.policy_version
        assert drawn[None].completion_ids == bare.completion_ids
        assert len({answer.policy_version for answer in drawn.values()}) == 3
        assert abs(drawn["a"].logprobs[0] - bare.logprobs[0]) > 0.01
        with pytest.raises(PolicyError, match="no adapter 'c' is loaded here"):
            policy.use("c")
        policy.model.unload()


def test_a_model_in_training_is_sampled_and_left_as_it_was(tiny_base):
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5, task_type="CAUSAL_LM")
    model = get_peft_model(tiny_base.model, config)
    model.add_adapter("value", config)
    model.train()
    wanted = {name: weight.requires_grad for name, weight in model.named_parameters()}
    policy = TorchPolicy(tiny_base._replace(model=model), context_tokens=256)
    policy.adopt("default", "1" * 64)
    policy.adopt("value", "2" * 64)
    for name in ("default", None, "value"):
        policy.use(name)
        first = policy.sample(ASK, 2, Sampling(max_tokens=5))
        assert first[0].completion_ids == first[1].completion_ids
        assert model.training
        assert model.active_adapter == "default"
        assert {n: w.requires_grad for n, w in model.named_parameters()} == wanted
    policy.use("default")
    before = policy.sample(ASK, 1, Sampling(max_tokens=5))[0]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B.default" in name:
                weight.normal_()
    policy.adopt("default", "3" * 64)
    after = policy.sample(ASK, 1, Sampling(max_tokens=5))[0]
    assert after.usage.cached == 0
    assert after.policy_version != before.policy_version
    assert after.logprobs != before.logprobs
    ids = first[0].prompt_ids
    token_logprobs(model, ids[:-3], ids[-3:]).sum().backward()
    assert any(w.grad is not None for n, w in model.named_parameters() if "lora_B.default" in n)
    model.unload()


def test_closed(tiny_base):
    policy = TorchPolicy(tiny_base, context_tokens=256)
    policy.close()
    policy.close()
    with pytest.raises(PolicyError, match="was closed"):
        policy.sample(ASK, 1, Sampling(max_tokens=1))
