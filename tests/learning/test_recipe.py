"""The recipe of docs/learning.md with a real model: rollout → train → evaluate NAME@VERSION."""

import json

import pytest

from agent.tasks.instance import write_instances
from policies.hub.adapters import adapters_root, read_lineage
from tests.agent import shop
from tests.agent.shop import agent
from tests.documents import conforms
from tests.tasks.conftest import environments, shared_environments
from tests.tasks.samples import shop_task

__all__ = ["environments", "shared_environments"]
pytestmark = [pytest.mark.model, pytest.mark.slow]
MODEL = "qwen2.5-coder-0.5b"


def run(*arguments):
    result = agent(*arguments, "--json")
    assert result.exit_code == 0, (result.stdout, result.stderr)
    return conforms(json.loads(result.stdout.splitlines()[-1]))


def test_rollout_train_and_evaluate(git_repo, tmp_path):
    tasks, out, trained = tmp_path / "tasks.jsonl", tmp_path / "rollout", tmp_path / "run"
    write_instances(tasks, [shop_task(git_repo(shop.files()))])
    sandbox = ("--sandbox", "bubblewrap")
    drawn = ("--ids", "shop", "--samples", "2", "--rounds", "1", "--timeout", "60")
    rolled = run("rollout", tasks, "--model", MODEL, "--out", out, *drawn, *sandbox)
    assert (rolled["model"], rolled["gold"]) == (f"{MODEL}@base", 2)
    assert rolled["samples"] == 2
    gold = ("--gold", out / "gold.jsonl", "--steps", "2", "--set", "adapters.rank=4")
    report = run("train", "sft", "--model", MODEL, "--store", out, "--out", trained, *gold)
    assert report["model"] == f"{MODEL}@v1"
    lineage = read_lineage(adapters_root() / MODEL / "v1")
    assert (lineage.method, lineage.metrics["steps"]) == ("sft", 2)
    assert run("train", "sft", "--model", MODEL, "--store", out, "--out", trained, *gold) == report
    once = ("--attempts", "1", "--timeout", "60", "--no-plots")
    summary = run(
        "eval", tasks, "--model", report["model"], "--out", tmp_path / "eval", *once, *sandbox
    )
    assert (summary["samples"], summary["unscored"]) == (1, 0)
    assert summary["model"] == f"{MODEL}@v1"


def test_reinforcement_learning_takes_the_tokens_of_the_engine(git_repo, tmp_path):
    tasks, out = tmp_path / "tasks.jsonl", tmp_path / "rollout"
    write_instances(tasks, [shop_task(git_repo(shop.files()))])
    places = ("--known-places", "--strategies", "infill", "--samples", "1", "--timeout", "120")
    drawn = ("--ids", "shop", "--sandbox", "bubblewrap", *places)
    rolled = run("rollout", tasks, "--model", MODEL, "--out", out, *drawn)
    assert (rolled["answers"]["shop"][0], rolled["unscored"]) == (8, {})
    alone = ("--steps", "1", "--set", "value_passes=0", "--set", "adapters.rank=4")
    report = run(
        "train", "ppo", "--model", MODEL, "--store", out, "--out", tmp_path / "ppo", *alone
    )
    lineage = read_lineage(adapters_root() / MODEL / "v1")
    assert (report["model"], lineage.method) == (f"{MODEL}@v1", "ppo")
    assert abs(lineage.metrics["drift"]["mean"]) < 0.1
