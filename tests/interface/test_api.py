"""`from agent import solve, verify`: real repositories, sandboxes and verdicts."""

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import agent
from agent.api import Options
from agent.config import Settings
from tests.agent import shop

ROOT = Path(__file__).parents[2]
FIXED = {"sandbox": "bubblewrap", "environment": sys.prefix}


@pytest.fixture
def repo(git_repo):
    return git_repo(shop.files())


def status(repo):
    command = ["git", "-C", repo, "status", "--porcelain"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_importing_costs_nothing_and_modules_of_the_same_name_hide_nothing():
    code = (
        "import sys, agent; before = set(sys.modules)\n"
        "assert not {'pydantic', 'typer', 'git', 'rich'} & before\n"
        "import agent.solve, agent.verify.verifier\n"
        "from agent import Result, solve, verify\n"
        "assert [solve.__module__, verify.__module__] == ['agent.api'] * 2\n"
        "assert sorted(agent.__all__) == agent.__all__\n"
        "for name in agent.__all__: getattr(agent, name)\n"
        "from agent.verify.verifier import Verifier\n"
        "assert not hasattr(agent, 'other')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_option_is_a_setting():
    assert set(get_type_hints(Options)) <= set(Settings.model_fields)


def test_solve_returns_a_patch_that_verify_accepts_and_writes_nothing(repo, tmp_path):
    lines = []
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    found = agent.solve(repo, shop.ISSUE, model=model, on_progress=lines.append, **FIXED)
    assert isinstance(found, agent.Result)
    assert (found.status, found.verified, found.applied) == ("verified", True, None)
    assert "(number - 1) * size" in found.diff
    assert list(found.tests_before.values()).count("failed") == 2
    assert set(found.tests_after.values()) == {"passed"}
    assert found.tokens.completion > 0
    assert found.seconds > found.test_seconds > 0
    assert "verdict   verified" in lines
    assert status(repo) == ""

    judged = agent.verify(repo, found.diff, **FIXED)
    assert (judged.status, judged.verified, judged.diff) == ("verified", True, found.diff)
    assert judged.trajectory != found.trajectory
    assert judged.targets == found.targets
    assert judged.tokens.prompt == 0
    assert status(repo) == ""


def test_verify_says_why_a_patch_is_not_verified(repo):
    test = (repo / "tests/test_shop.py").read_text()
    (repo / "tests/test_shop.py").write_text(test.replace("assert", "assert True or", 1))
    cheat = subprocess.run(["git", "-C", repo, "diff"], capture_output=True, text=True).stdout
    subprocess.run(["git", "-C", repo, "checkout", "-q", "."], check=True)
    told = agent.verify(repo, cheat, **FIXED)
    assert (told.status, told.verified, told.exit_code) == ("unverified", False, 1)
    assert told.verdict is not None
    assert told.verdict.findings == ("changes a protected file: tests/test_shop.py",)


def test_apply_writes_what_is_verified(repo, tmp_path):
    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    found = agent.solve(str(repo), shop.ISSUE, model=model, apply=True, **FIXED)
    assert (found.applied, found.files) == ("working tree", ("shop/catalogue.py",))
    assert status(repo) == " M shop/catalogue.py\n"


def test_what_is_wrong_is_raised_with_the_next_step(repo, tmp_path):
    for call in (
        lambda: agent.solve(tmp_path, "it is broken"),
        lambda: agent.solve(repo, "  "),
        lambda: agent.verify(repo, "\n"),
        lambda: agent.solve(repo, "it is broken", timeout=-1.0),
    ):
        with pytest.raises(agent.UsageError) as wrong:
            call()
        assert str(wrong.value)
    with pytest.raises(agent.EnvironmentFailure, match="cannot read script"):
        agent.solve(repo, "it is broken", model=f"scripted:{tmp_path}/none", **FIXED)
    with pytest.raises(agent.UsageError, match="no test matches") as wrong:
        agent.verify(repo, "--- a/x\n+++ b/x\n", tests=["tests/test_none.py"], **FIXED)
    assert "Name tests as the runner does" in wrong.value.hint


def test_an_interrupt_is_raised_and_leaves_the_files_alone(repo, tmp_path):
    def stop(line):
        if line.startswith("suspects"):
            raise KeyboardInterrupt

    model = shop.script(tmp_path, [shop.PLAN, shop.GOOD])
    with pytest.raises(KeyboardInterrupt):
        agent.solve(repo, shop.ISSUE, model=model, apply=True, on_progress=stop, **FIXED)
    assert status(repo) == ""


def test_the_example_works(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("APPRENTICE_MODEL", shop.script(tmp_path, [shop.PLAN, shop.GOOD]))
    monkeypatch.setenv("APPRENTICE_SANDBOX", "bubblewrap")
    monkeypatch.setenv("APPRENTICE_ENVIRONMENT", sys.prefix)
    example = [sys.executable, ROOT / "examples" / "script.py", repo, shop.ISSUE]
    done = subprocess.run(example, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "+    start = (number - 1) * size" in done.stdout
    assert "6 tests pass" in done.stdout
