"""`agent train` on a real store and a tiny model in a folder: every trainer gives an adapter."""

import json
import subprocess
import sys

import pytest
import torch
from peft import PeftModel
from typer.testing import CliRunner

from agent.cli import app
from agent.status import UsageError
from agent.train.settings import config_class, configured
from policies.base import Sampling, Usage
from policies.experience import events as e
from policies.experience.store import Store
from policies.learning.grpo import GrpoConfig
from policies.learning.tokens import digest
from tests.documents import conforms
from tests.learning.tiny import random_groups, tiny_model, tiny_tokenizer

FAST = ("--set", "adapters.rank=2", "--set", "learning_rate=0.01", "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def store(tmp_path):
    """A store of a rollout: two tasks with four attempts each, two of them verified."""
    folder = tmp_path / "rollout"
    with Store.open(folder / "experience.db") as opened:
        for group in random_groups(tiny_model(), groups=2, samples=4, turns=1).groups:
            for trajectory in group.trajectories:
                with opened.begin() as writer:
                    for event in told(trajectory):
                        writer.append(event)
    return folder


def told(trajectory):
    """The events of a trajectory of one turn."""
    (tokens,) = trajectory.sequences
    start = tokens.mask.index(True)
    end = len(tokens.ids) - tokens.mask[::-1].index(True)
    solved = trajectory.reward == 1.0
    yield e.TaskStarted(
        issue="it is broken", repository="r", base_commit="c", dirty=False,
        policy_version="tiny", sandbox="none", package_version="0",
    )  # fmt: skip
    yield e.Sampled(
        text="x",
        prefix_digest=digest(()),
        prompt_delta_ids=tokens.ids[:start],
        completion_ids=tokens.ids[start:end],
        logprobs=tokens.logprobs[start:end],
        finish_reason="stop",
        sampling=Sampling(),
        usage=Usage(),
        seconds=0.1,
        policy_version="tiny",
        attempt=0,
    )
    yield e.Judged(
        verified=solved, reasons=(), findings=(), fixed=(), broken=(), diff_sha256="", seconds=0.1,
        rewards={"resolved": float(solved), "tamper": 0.0, "changed_lines": 1.0}, attempt=0,
    )  # fmt: skip


def run(trainer, model, store, out, *more):
    arguments = ["train", trainer, "--model", str(model), "--out", str(out), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--store", str(store), *FAST, *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, conforms(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("trainer", ["sft", "dpo", "kto", "grpo", "ppo"])
def test_each_trainer_makes_an_adapter_that_changes_the_model(trainer, model, store, tmp_path):
    code, report = run(trainer, model, store, tmp_path / "out", "--steps", "2")
    assert code == 0, report
    assert report["lineage"]["trainer"] == trainer
    assert report["lineage"]["base"].startswith(f"{model.name}@sha256:")
    rows = json.loads((tmp_path / "out" / "curves.json").read_text())["rows"]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert sum("loss" in row for row in rows) == 2
    assert report["lineage"]["metrics"]["steps"] == report["last"]["step"] == len(rows)
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    adapted = PeftModel.from_pretrained(tiny_model(), report["adapter"])
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        moved = adapted(input_ids=ids).logits - tiny_model()(input_ids=ids).logits
    assert 0 < moved.abs().max() < 10


@pytest.mark.parametrize("trainer", ["sft", "grpo"])
@pytest.mark.parametrize("saving", [True, False])
def test_memory_is_given_back_where_it_is_to_be_saved(
    trainer, saving, model, store, tmp_path, monkeypatch
):
    calls = []
    monkeypatch.setattr("agent.train.run.give_back_freed", lambda: calls.append(1))
    more = ("--steps", "1", "--set", f"checkpointing={str(saving).lower()}")
    code, report = run(trainer, model, store, tmp_path / "out", *more)
    assert code == 0, report
    assert bool(calls) == saving


def test_a_reward_model_orders_its_pairs(model, store, tmp_path):
    code, report = run(
        "reward", model, store, tmp_path / "out", "--set", "epochs=48", "--set", "batch=8"
    )
    assert code == 0, report
    rows = json.loads((tmp_path / "out" / "curves.json").read_text())["rows"]
    assert report["last"]["accuracy"] > 0.8
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.1
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"


def test_gold_fixes_are_learned(model, tmp_path):
    row = [{"role": "user", "content": "1 2"}, {"role": "assistant", "content": "5 6 7"}]
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"messages": row}) + "\n")
    empty = tmp_path / "empty"
    with Store.open(empty / "experience.db"):
        pass
    more = ("--gold", str(gold), "--steps", "8", "--set", "learning_rate=0.05")
    code, report = run("sft", model, empty, tmp_path / "out", *more)
    assert code == 0, report
    rows = json.loads((tmp_path / "out" / "curves.json").read_text())["rows"]
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.2


def test_sft_goes_on_from_a_checkpoint_to_the_same_weights(model, store, tmp_path):
    more = ("--set", "save_every=2", "--set", "epochs=9", "--set", "batch=2")
    assert run("sft", model, store, tmp_path / "whole", *more, "--steps", "6")[0] == 0
    assert run("sft", model, store, tmp_path / "parts", *more, "--steps", "4")[0] == 0
    broken = tmp_path / "parts" / "checkpoints" / "checkpoint-6"
    broken.mkdir()
    (broken / "trainer_state.json").write_text("{")
    assert run("sft", model, store, tmp_path / "parts", *more, "--steps", "6")[0] == 0
    weights = [
        (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes()
        for name in ("whole", "parts")
    ]
    assert weights[0] == weights[1]
    rows = json.loads((tmp_path / "parts" / "curves.json").read_text())["rows"]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]


def test_training_goes_on_from_a_parent(model, store, tmp_path):
    _, first = run("grpo", model, store, tmp_path / "first")
    again = ("--parent", first["adapter"])
    lenient = ("--set", "drift.mean=10", "--set", "drift.far_share=1")
    code, report = run("grpo", model, store, tmp_path / "second", *again, *lenient)
    assert code == 0, report
    assert report["lineage"]["parent"] == first["adapter"]


def test_a_batch_that_drifted_is_refused_with_the_reason(store, tmp_path):
    other = tmp_path / "other"
    tiny_model(seed=9).save_pretrained(other)
    tiny_tokenizer().save_pretrained(other)
    code, report = run("grpo", other, store, tmp_path / "out")
    assert code == 3
    assert "not sampled by this policy" in report["message"]


def test_nothing_to_learn_from_is_said(model, tmp_path):
    with Store.open(tmp_path / "experience.db"):
        pass
    code, report = run("grpo", model, tmp_path, tmp_path / "out")
    assert code == 3
    assert "nothing is left to train on (no trajectories)" in report["message"]
    code, report = run("sft", model, tmp_path, tmp_path / "out2")
    assert (code, "no verified attempt" in report["message"]) == (3, True)


def test_a_missing_store_and_a_missing_model_are_named(model, store, tmp_path):
    code, report = run("grpo", model, tmp_path / "nowhere", tmp_path / "out")
    assert (code, "no store at" in report["message"]) == (2, True)
    code, report = run("grpo", "no-such-model", store, tmp_path / "out")
    assert (code, "no-such-model" in report["message"]) == (3, True)


def test_settings_by_key():
    config = configured(GrpoConfig, ["loss.kl=0.1", "steps=3", "rewards.weights.fixed=1"])
    assert (config.loss.kl, config.loss.clip_high, config.steps) == (0.1, 0.28, 3)
    assert config.rewards.weights == {"fixed": 1.0}
    with pytest.raises(UsageError, match=r"no setting 'loss\.kll'") as refused:
        configured(GrpoConfig, ["loss.kll=1"])
    assert "loss.kl" in refused.value.hint
    with pytest.raises(UsageError, match="learning_rate"):
        configured(config_class("sft"), ["learning_rate=-1"])


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["grpo", "ppo"])
def test_two_processes_make_the_steps_of_one(trainer, model, store, tmp_path):
    rows = []
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    for count in (1, 2):
        out = tmp_path / str(count)
        command = [sys.executable, *launch, "--num_processes", str(count), "-m", "agent", "train"]
        command += [trainer, "--model", str(model), "--store", str(store), "--out", str(out)]
        done = subprocess.run([*command, "--steps", "3", *FAST], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        rows.append(json.loads((out / "curves.json").read_text())["rows"])
    assert sum("loss" in row for row in rows[0]) == 3
    for one, two in zip(*rows, strict=True):
        assert one["tokens"] == two["tokens"]
        assert one.keys() == two.keys()
        for name in {"loss", "value_loss", "grad_norm", "entropy", "kl_start", "reward"} & set(one):
            assert one[name] == pytest.approx(two[name], rel=1e-3, abs=1e-5), name
