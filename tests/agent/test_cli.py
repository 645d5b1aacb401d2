"""The rest of the command line: models, doctor, help, views."""

import json
import os
import subprocess
import sys

import pytest

from agent.ui.lines import line
from policies.base import Sampling, Usage
from policies.experience.events import Sampled
from policies.hub.download import pull
from tests.agent import shop


def test_help_names_every_command():
    text = shop.agent("--help").stdout
    for command in ("solve", "fix", "models", "experience", "doctor", "mcp", "github"):
        assert command in text


def test_models_list_as_table_and_json(monkeypatch, tmp_path):
    monkeypatch.setenv("APPRENTICE_MODELS", str(tmp_path))
    assert "qwen2.5-coder-1.5b" in shop.agent("models", "list").stdout
    known = json.loads(shop.agent("models", "list", "--json").stdout)["models"]
    assert [(m["name"], m["present"]) for m in known] == [
        ("qwen2.5-coder-1.5b", False),
        ("qwen2.5-coder-0.5b", False),
    ]


def test_models_add_and_remove(tmp_path):
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    assert shop.agent("models", "add", path, "--name", "mine").exit_code == 0
    assert "mine" in shop.agent("models", "list").stdout
    assert shop.agent("models", "remove", "mine").exit_code == 0
    assert path.exists()
    missing = shop.agent("models", "add", tmp_path / "none.gguf")
    assert missing.exit_code == 3


def test_doctor_says_what_to_do_without_a_model(monkeypatch, tmp_path):
    monkeypatch.setenv("APPRENTICE_MODELS", str(tmp_path))
    result = shop.agent("doctor", "--repo", tmp_path, "--json")
    report = json.loads(result.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert result.exit_code == 3
    assert checks["git"]["ok"]
    assert checks["sandbox: bubblewrap"]["ok"]
    assert checks["model"]["next"] == "Run `agent models pull`."


@pytest.mark.model
def test_doctor_measures_the_model():
    pull("qwen2.5-coder-0.5b")
    result = shop.agent("doctor", "--model", "qwen2.5-coder-0.5b", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert "tokens/s" in checks["model"]["detail"]


def test_plain_output_shows_the_run_and_escapes_what_the_model_writes(git_repo, tmp_path):
    plan = shop.PLAN.replace("the first", "\x1b]0;owned\x07 the first")
    model = shop.script(tmp_path, [plan, shop.GOOD])
    arguments = shop.solve_arguments(git_repo(shop.files()), model)
    arguments.remove("--json")
    done = subprocess.run(
        [sys.executable, "-m", "agent", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "verdict   verified" in done.stderr
    assert "Verified fix." in done.stdout
    assert "2 failed, 4 passed" in done.stdout
    assert "agent experience show" in done.stdout


def test_the_live_view_draws_in_a_terminal(git_repo, tmp_path):
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    arguments = shop.solve_arguments(git_repo(shop.files()), model)
    arguments.remove("--json")
    command = " ".join(
        f"'{word}'" for word in [sys.executable, "-m", "agent", *map(str, arguments)]
    )
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", command, "/dev/null"],
        capture_output=True,
        text=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stdout
    assert "attempt 1, round 1" in done.stdout
    assert "\x1b[" in done.stdout
    assert "Verified fix." in done.stdout


def test_a_sample_is_one_line():
    event = Sampled(
        text="plan\ncause: x", finish_reason="stop", sampling=Sampling(), phase="plan",
        usage=Usage(completion=10), seconds=2.0, policy_version="p",
    )  # fmt: skip
    assert line(event) == "plan      plan cause: x [10 tok, 5/s]"
