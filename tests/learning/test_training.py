"""Whole runs of GRPO and PPO: the known optimum, exact resumption, refused data."""

import gc
import random
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace

import pytest
import torch

from policies.learning import grpo, ppo
from policies.learning.batch import Group, Groups, Trajectory, grouped
from policies.learning.config import DriftConfig
from policies.learning.data import DataConfig, lay_out
from policies.learning.errors import LearningError
from policies.learning.run import Run
from policies.learning.tokens import Tokens, digest
from tests.learning.killed_process import CONFIGS, KILLED_AT, open_base, open_data, train
from tests.learning.tiny import VOCABULARY, random_groups, tiny_model

PROMPT = (3, 1, 4, 1, 5)
GOOD = 56
SAMPLES = 32


def drawn(base, seed):
    """Two tokens after the prompt, SAMPLES times, and how many of the two are good."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.tensor([PROMPT] * SAMPLES)
    stored = []
    with torch.no_grad():
        for _ in range(2):
            shares = base.peft(input_ids=ids).logits[:, -1].log_softmax(-1)
            token = torch.multinomial(shares.exp(), 1, generator=generator)
            stored.append(shares.gather(1, token))
            ids = torch.cat([ids, token], 1)
    logprobs = torch.cat(stored, 1).tolist()
    mask = (False,) * len(PROMPT) + (True, True)
    made = []
    for number, row in enumerate(ids.tolist()):
        own = Tokens(tuple(row), mask, (*[0.0] * len(PROMPT), *logprobs[number]))
        reward = sum(token >= GOOD for token in row[-2:]) / 2
        made.append(Trajectory(str(number), digest(PROMPT), (own,), reward))
    return made


@pytest.mark.parametrize("trainer", ["grpo", "ppo"])
def test_the_known_optimum_is_reached(tmp_path, trainer):
    base = open_base(trainer, scale=0.4)
    config = CONFIGS[trainer].model_copy(update={"learning_rate": 0.01, "steps": 2})
    rewards = []
    for iteration in range(30):
        samples = drawn(base, iteration)
        rewards.append(sum(one.reward for one in samples) / SAMPLES)
        groups = grouped(samples, contrast=trainer == "grpo")
        if not groups.groups or rewards[-1] > 0.97:
            break
        train(
            trainer, base, lay_out(groups), config, Run(tmp_path / str(iteration), {}, plots=False)
        )
    assert rewards[0] < 0.5
    assert rewards[-1] > 0.97


def test_values_begin_at_zero(tmp_path):
    base, data, run = open_base("ppo"), open_data(), Run(tmp_path, {}, plots=False)
    config = CONFIGS["ppo"]
    known = ppo.values_before(0, base, data, config, run)
    computed = ppo.values_before(1, base, data, config, run)
    assert all(torch.equal(*both) for both in zip(known, computed, strict=True))


def copies(weights):
    """Live tensors that hold one of these weights a second time."""
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    by_shape = defaultdict(list)
    for weight in weights:
        by_shape[weight.shape].append(weight)
    return [
        found
        for found in gc.get_objects()
        if issubclass(type(found), torch.Tensor)
        and found.untyped_storage().data_ptr() not in own
        and any(torch.equal(found.detach(), weight) for weight in by_shape.get(found.shape, ()))
    ]


@pytest.mark.parametrize("trainer", ["grpo", "ppo"])
def test_no_role_holds_a_copy_of_the_base(tmp_path, trainer):
    base = open_base(trainer)
    named = base.peft.named_parameters()
    frozen = [weight for name, weight in named if "lora_" not in name and weight.dim() == 2]
    data = open_data()
    gc.collect()
    before, held = len(copies(frozen)), []
    hook = base.peft.get_base_model().model.register_forward_hook(
        lambda *_: held.append(len(copies(frozen)))
    )
    train(trainer, base, data, CONFIGS[trainer], Run(tmp_path, {}, plots=False))
    hook.remove()
    assert len(held) > CONFIGS[trainer].steps
    assert max(held) <= before
    second = frozen[0].detach().clone()
    assert any(found is second for found in copies(frozen))


@pytest.mark.parametrize("trainer", ["grpo", "ppo"])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, trainer):
    torch.set_num_threads(1)
    command = [sys.executable, "-m", "tests.learning.killed_process", trainer, tmp_path / "killed"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "killed" / "adapter").exists()
    results = []
    for name in ("killed", "whole"):
        run = Run(tmp_path / name, {"trainer": trainer})
        base = open_base(trainer)
        train(trainer, base, open_data(), CONFIGS[trainer], run)
        weights = (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes()
        rows = [
            {k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second", "memory_mb")}
            for row in run.rows
        ]
        results.append((weights, base.state(), rows))
    (killed, killed_state, killed_rows), (whole, whole_state, rows) = results
    assert killed_rows == rows
    assert [row["step"] for row in rows] == [float(n) for n in range(1, len(rows) + 1)]
    assert sum("loss" in row for row in rows) == CONFIGS[trainer].steps
    assert killed == whole
    assert all(torch.equal(killed_state[name], whole_state[name]) for name in whole_state)
    assert CONFIGS[trainer].steps > KILLED_AT
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 0


def test_a_run_goes_on_only_with_the_same_settings(tmp_path):
    Run(tmp_path, {"trainer": "grpo", "config": {"seed": 0}})
    Run(tmp_path, {"trainer": "grpo", "config": {"seed": 0}})
    with pytest.raises(LearningError, match=r"another run: config\.seed was 0, not 1"):
        Run(tmp_path, {"trainer": "grpo", "config": {"seed": 1}})


def test_a_damaged_checkpoint_is_named(tmp_path):
    run = Run(tmp_path, {})
    (tmp_path / "checkpoint-4.pt").write_bytes(b"nothing")
    with pytest.raises(LearningError, match=r"checkpoint-4\.pt is damaged"):
        run.restore(open_base("grpo"), [])


@pytest.mark.parametrize("trainer", ["grpo", "ppo"])
def test_a_batch_of_another_policy_is_refused(tmp_path, trainer):
    data = lay_out(random_groups(tiny_model(seed=1)))
    base = open_base(trainer)
    with pytest.raises(LearningError, match=r"not sampled by this policy.*on average.*by tiny"):
        train(trainer, base, data, CONFIGS[trainer], Run(tmp_path, {}))
    assert not (tmp_path / "start.pt").exists()
    lenient = CONFIGS[trainer].model_copy(
        update={"drift": DriftConfig(mean=100, far_share=1), "steps": 1}
    )
    train(trainer, base, data, lenient, Run(tmp_path, {}))


def test_a_few_tokens_far_off_are_refused(tmp_path):
    groups = random_groups(tiny_model())
    first = groups.groups[0].trajectories[0]
    sequence = first.sequences[0]
    wrong = tuple(
        p - 3.0 if m else p for p, m in zip(sequence.logprobs, sequence.mask, strict=True)
    )
    moved = replace(first, sequences=(replace(sequence, logprobs=wrong),))
    group = Group(groups.groups[0].prompt, (moved, *groups.groups[0].trajectories[1:]))
    data = lay_out(Groups((group, *groups.groups[1:])))
    config = CONFIGS["grpo"].model_copy(update={"drift": DriftConfig(mean=10, far_share=0.05)})
    with pytest.raises(LearningError, match=r"more than 0\.5 for"):
        train("grpo", open_base("grpo"), data, config, Run(tmp_path, {}))


def test_sharing_prefixes_changes_no_result(tmp_path):
    found = []
    for share in (True, False):
        config = CONFIGS["ppo"].model_copy(
            update={"data": DataConfig(groups_per_step=1, share_prefixes=share), "steps": 3}
        )
        base = open_base("ppo")
        run = Run(tmp_path / str(share), {}, plots=False)
        train("ppo", base, open_data(), config, run)
        found.append((base.state(), run.rows))
    (tree, rows), (alone, other) = found
    assert [row["tokens"] for row in rows] == [row["tokens"] for row in other]
    for row, same in zip(rows, other, strict=True):
        assert row["value_loss"] == pytest.approx(same["value_loss"], abs=1e-4)
        assert row.get("loss") == pytest.approx(same.get("loss"), abs=1e-4)
    assert max(float((tree[n] - alone[n]).abs().max()) for n in tree) < 1e-2


def test_nothing_to_learn_from_says_why():
    trajectory = Trajectory("a", "p", (Tokens((1, 2), (False, True), (0.0, 0.0)),), 1.0)
    groups = grouped([trajectory, replace(trajectory, reward=None, why="timed out")])
    with pytest.raises(LearningError, match=r"1 single samples, 1 timed out"):
        lay_out(groups)


def test_every_group_comes_once_an_epoch():
    data = lay_out(random_groups(tiny_model(), groups=5))
    config = DataConfig(groups_per_step=2)
    epochs = [[data.order(3 * epoch + step, config, 3) for step in range(3)] for epoch in range(2)]
    for epoch in epochs:
        assert sorted(group for step in epoch for group in step) == list(range(5))
    assert epochs[0] != epochs[1]
    even = DataConfig(groups_per_step=4)
    assert sorted(len(data.order(step, even, 3)) for step in range(2)) == [2, 3]


def test_estimates_follow_the_trajectory_over_its_sequences():
    draw = random.Random(0)
    sequences = tuple(
        Tokens(
            tuple(draw.randrange(VOCABULARY) for _ in range(4)),
            (False, True, True, False),
            (0.0,) * 4,
        )
        for _ in range(2)
    )
    data = lay_out(Groups((Group("p", (Trajectory("a", "p", sequences, 1.0),)),)))
    values = [torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.4])]
    config = ppo.PpoConfig(gamma=1.0, lam=0.0, whiten=False)
    advantages, returns = ppo.estimates(data, values, config)
    assert torch.cat(advantages).tolist() == pytest.approx([0.1, 0.1, 0.1, 0.6])
    assert torch.cat(returns).tolist() == pytest.approx([0.2, 0.3, 0.4, 1.0])


def test_advantages_without_and_with_the_deviation():
    data = lay_out(random_groups(tiny_model(), groups=1, samples=4))
    assert grpo.advantages_of(data, grpo.GrpoConfig()) == pytest.approx(
        [-2 / 3, 2 / 3, -2 / 3, 2 / 3]
    )
    scaled = grpo.advantages_of(data, grpo.GrpoConfig(scale_by_std=True))
    assert scaled[1] == pytest.approx(2 / 3 / 0.5774, rel=1e-3)
