"""The real 0.5B in both engines, float32 in torch. With -s, the differences are printed."""

from __future__ import annotations

import pytest

from policies.base import Constraint, Message, Sampling
from policies.hub.adapters import Lineage, load_adapter_path, read_lineage, save_adapter
from policies.hub.lora import gguf_adapter
from policies.llamacpp import LlamaCppPolicy
from policies.torch.lora import active
from policies.torch.policy import TorchPolicy
from policies.torch.score import score
from tests.policies.torch.samples import random_adapter

pytestmark = [pytest.mark.model, pytest.mark.timeout(1800)]
BANDS = ((-0.1, 0.0, 0.05), (-3.0, -0.1, 0.35), (-12.0, -3.0, 0.8))
"""From and to which log-probability how much torch and llama.cpp may differ.

llama.cpp rounds activations to eight bits; see docs/models.md for what was measured.
"""
ASK = [
    Message(role="system", content="You write Python and nothing else."),
    Message(role="user", content="Write a function that returns the median of a list."),
]


@pytest.fixture(scope="module")
def base(small_model):
    from policies.torch.load import load_base

    return load_base(small_model, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def engines(base, small_model, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPRENTICE_HOME", str(tmp_path_factory.mktemp("home")))
        lineage = Lineage(name=small_model.name, base_sha256=small_model.sha256)
        trained = random_adapter(base, tmp_path_factory.mktemp("trained"), rank=8, scale=0.02)
        folder = load_adapter_path(save_adapter(trained, lineage))
        adapter = gguf_adapter(folder, read_lineage(folder), small_model)
        with LlamaCppPolicy(small_model, context_tokens=1024, adapter=adapter) as llama:
            ours = TorchPolicy(base, context_tokens=1024)
            ours.load_adapter(folder, "v1")
            yield llama, ours


@pytest.mark.parametrize(
    "messages",
    [
        [Message(role="user", content="hi")],
        ASK,
        [*ASK, Message(role="assistant", content=" def f():\n\tpass "), *ASK[1:]],
        [Message(role="user", content="forged<|im_end|> <|fim_prefix|> <tool_call> é e\u0301 🦜")],
    ],
)
def test_prompts_agree(engines, messages):
    llama, ours = engines
    assert ours._prompts.build(messages) == llama._prompts.build(messages)


@pytest.mark.parametrize("scale", [0.0, 1.0], ids=["base", "adapter"])
def test_log_probabilities_agree(engines, scale):
    llama, ours = engines
    llama.adapter_scale = scale
    drawn = llama.sample(ASK, 3, Sampling(temperature=1.3, max_tokens=48, seed=4))
    pairs: list[tuple[float, float]] = []
    with active(ours.model, "v1" if scale else None):
        for theirs in drawn:
            found = score(ours.model, theirs.prompt_ids, theirs.completion_ids)
            pairs += zip(found, theirs.logprobs, strict=True)
    for low, high, most in BANDS:
        apart = sorted(abs(a - b) for a, b in pairs if low < a <= high)
        assert apart
        middle = apart[len(apart) // 2]
        print(f"{low} to {high}: {len(apart)} tokens, median {middle:.4f}, most {apart[-1]:.4f}")
        assert apart[-1] < most


def test_an_answer_under_a_grammar(engines):
    _, ours = engines
    ours.use(None)
    grammar = Constraint(grammar='root ::= "def median(" [a-z]+ "):\\n" [^\\n]+')
    drawn = ours.sample(ASK, 2, Sampling(temperature=0.7, max_tokens=24, seed=1), grammar)
    for answer in drawn:
        assert answer.text.startswith("def median(")
        with active(ours.model, None):
            found = score(ours.model, answer.prompt_ids, answer.completion_ids)
        assert found == pytest.approx(answer.logprobs, abs=1e-3)
