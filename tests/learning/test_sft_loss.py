"""SFT's loss is that of the tokens that the policy wrote, and only they are scored."""

import pytest
import torch
import trl.trainer.utils as trl_utils

from policies.learning.logprobs import score
from policies.learning.packed import pack
from policies.learning.run import Run
from policies.learning.sft import SftConfig, train
from tests.learning.tiny import ADAPTERS, random_groups, tiny_model, tiny_tokenizer


def test_the_output_layer_is_computed_where_a_token_is_learned(tmp_path, monkeypatch):
    groups = random_groups(tiny_model(), groups=1, samples=3).groups
    sequences = [one for t in groups[0].trajectories for one in t.sequences]
    with torch.no_grad():
        logprobs = score(tiny_model(), pack(sequences)).logprobs
    rows = []
    kernel = trl_utils._ChunkedLogProbFunction

    class Spied:
        @staticmethod
        def apply(hidden, *more):
            rows.append(hidden.shape[0])
            return kernel.apply(hidden, *more)

    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", Spied)
    run = Run(tmp_path / "run", {}, plots=False)
    config = SftConfig(steps=1, accumulate=len(sequences), adapters=ADAPTERS)
    train(tiny_model(), tiny_tokenizer(), sequences, config, run)
    assert sorted(rows) == sorted(sum(one.mask) for one in sequences)
    assert run.rows[0]["loss"] == pytest.approx(-float(logprobs.mean()), rel=1e-4)
    assert not trl_utils._use_triton(torch.device("cpu"))
