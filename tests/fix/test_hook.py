"""The hook in the real pre-commit, installed from these sources as it would be for a user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from policies.resident.client import running, stop
from tests.agent.shop import script
from tests.fix import project
from tests.fix.project import FIX_MEAN, GOOD, UNDEFINED, WRONG, git, stage, state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
SOURCES = Path(__file__).parents[2]
SHIPPED = ("agent", "tools", "policies", "pyproject.toml", "README.md", "LICENSE")
HOOKS = ".pre-commit-hooks.yaml"


@pytest.fixture(scope="session")
def hooks_repo(tmp_path_factory):
    """These sources as a repository of hooks."""
    root = tmp_path_factory.mktemp("hooks") / "apprentice"
    root.mkdir()
    for name in (*SHIPPED, HOOKS):
        source = SOURCES / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root)
    subprocess.run(["git", "init", "-q", root], check=True)
    git(root, "add", "-A")
    git(root, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "hooks")
    return root


@pytest.fixture(scope="session")
def hook_store(tmp_path_factory):
    """What pre-commit installs, once for all tests."""
    return tmp_path_factory.mktemp("pre-commit")


@pytest.fixture
def pre_commit(hook_store, monkeypatch):
    """Run pre-commit in a repository, with the environment of this test as the project's."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(hook_store))
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith(("VIRTUAL_ENV", "PYTEST_"))]:
        monkeypatch.delenv(name)

    def run(repo, model, *words):
        command = [sys.executable, "-m", "pre_commit", *map(str, words)]
        environment = {**os.environ, "APPRENTICE_MODEL": model}
        return subprocess.run(command, cwd=repo, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture
def repo(git_repo, hooks_repo):
    config = (
        f"repos:\n  - repo: {hooks_repo}\n    rev: {git(hooks_repo, 'rev-parse', 'HEAD').strip()}\n"
        "    hooks:\n      - id: agent-fix\n        args: [--timeout, '900']\n"
    )
    return git_repo({**project.FILES, ".pre-commit-config.yaml": config})


def nobody():
    return "scripted:/nobody/is/asked.json"


def test_a_commit_from_a_good_one_to_a_fixed_one(repo, pre_commit, tmp_path):
    assert pre_commit(repo, nobody(), "install").returncode == 0
    stage(repo, GOOD + "\n\ndef none():\n    return []\n")
    environment = {**os.environ, "APPRENTICE_MODEL": script(tmp_path, FIX_MEAN)}

    def commit():
        command = ["git", "-C", str(repo), "commit", "-m", "work"]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    good = commit()
    assert good.returncode == 0, good.stdout + good.stderr
    assert "Passed" in good.stderr + good.stdout

    path = stage(repo, WRONG)
    head = git(repo, "rev-parse", "HEAD")
    bad = commit()
    said = bad.stdout + bad.stderr
    assert bad.returncode == 1, said
    assert "Fixed shop/prices.py" in said
    assert "files were modified by this hook" in said
    assert git(repo, "rev-parse", "HEAD") == head
    assert "/ len(prices)" in path.read_text()
    assert git(repo, "diff", "--cached", "--name-only") == "shop/prices.py\n"

    git(repo, "add", "-u")
    last = commit()
    assert last.returncode == 0, last.stdout + last.stderr


def test_unstaged_work_in_other_files_survives_a_fix(repo, pre_commit, tmp_path):
    stage(repo, WRONG)
    draft = "def twice(x):\n    return 'draft'\n"
    (repo / "shop/other.py").write_text(draft)
    done = pre_commit(repo, script(tmp_path, FIX_MEAN), "run")
    assert done.returncode == 1
    assert "Fixed shop/prices.py" in done.stdout
    assert (repo / "shop/other.py").read_text() == draft
    assert (repo / "shop/prices.py").read_text() == GOOD


def test_a_partly_staged_file_keeps_both_parts_or_its_draft(repo, pre_commit, tmp_path):
    stage(repo, WRONG)
    draft = WRONG.replace('"""Prices."""', '"""Prices, a draft."""')
    (repo / "shop/prices.py").write_text(draft)
    done = pre_commit(repo, script(tmp_path, FIX_MEAN), "run")
    assert done.returncode == 1
    content = (repo / "shop/prices.py").read_text()
    assert content in (draft, GOOD.replace('"""Prices."""', '"""Prices, a draft."""'))
    assert git(repo, "show", ":shop/prices.py") == WRONG


def test_what_cannot_be_fixed_stops_the_commit_with_the_checks_output(repo, pre_commit):
    stage(repo, WRONG)
    before = state(repo)
    done = pre_commit(repo, nobody(), "run")
    assert done.returncode == 1
    assert "assert mean([1, 3]) == 2" in done.stdout
    assert "Not fixed" in done.stdout
    assert state(repo) == before


def test_a_conflict_is_named(repo, pre_commit):
    stage(repo, "<<<<<<< HEAD\nA = 1\n=======\nA = 2\n>>>>>>> side\n")
    before = state(repo)
    done = pre_commit(repo, nobody(), "run")
    assert done.returncode == 1
    assert "marks of a merge conflict" in done.stdout
    assert state(repo) == before


def test_a_range_of_commits(repo, pre_commit, tmp_path):
    start = git(repo, "rev-parse", "HEAD").strip()
    stage(repo, WRONG)
    git(repo, "commit", "-qm", "wrong")
    done = pre_commit(
        repo, script(tmp_path, FIX_MEAN), "run", "--from-ref", start, "--to-ref", "HEAD"
    )
    assert done.returncode == 1
    assert "Fixed shop/prices.py" in done.stdout
    assert (repo / "shop/prices.py").read_text() == GOOD
    git(repo, "commit", "-qam", "fixed")
    again = pre_commit(repo, nobody(), "run", "--from-ref", start, "--to-ref", "HEAD")
    assert again.returncode == 0, again.stdout


def test_try_repo(repo, pre_commit, hooks_repo, tmp_path):
    stage(repo, WRONG)
    done = pre_commit(repo, script(tmp_path, FIX_MEAN), "try-repo", hooks_repo, "agent-fix")
    assert done.returncode == 1, done.stderr
    assert "Fixed shop/prices.py" in done.stdout
    assert (repo / "shop/prices.py").read_text() == GOOD


def test_the_hooks_environment_is_light(repo, pre_commit, hook_store):
    assert pre_commit(repo, nobody(), "install-hooks").returncode == 0
    names = {path.name for path in hook_store.glob("repo*/py_env-*/lib/python3*/site-packages/*")}
    assert "xllamacpp" in names
    assert not names & {"torch", "transformers", "trl", "vllm", "ray"}


@pytest.mark.model
def test_the_lines_of_the_readme_work_with_the_smallest_model(
    git_repo, hooks_repo, pre_commit, monkeypatch
):
    text = (SOURCES / "README.md").read_text()
    lines = textwrap.dedent(text.partition("### In pre-commit\n\n")[2].partition("\n\n")[0])
    assert len(lines.splitlines()) <= 6
    git(hooks_repo, "tag", "--force", "v0.1.0")
    config = lines.replace("https://github.com/OWNER/apprentice", str(hooks_repo))
    assert str(hooks_repo) in config
    assert "v0.1.0" in config
    repo = git_repo({**project.FILES, ".pre-commit-config.yaml": config})
    monkeypatch.setenv("APPRENTICE_FIX_TIMEOUT", "800")
    path = stage(repo, UNDEFINED)
    try:
        fixed = pre_commit(repo, "qwen2.5-coder-0.5b", "run")
        assert fixed.returncode == 1
        assert "Fixed shop/prices.py" in fixed.stdout, fixed.stdout
        assert "sum(price)" not in path.read_text()
        git(repo, "add", "-u")
        again = pre_commit(repo, "qwen2.5-coder-0.5b", "run")
        assert again.returncode == 0, again.stdout
    finally:
        for record in running():
            stop(record)


def test_the_manifest_is_valid():
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", SOURCES / HOOKS]
    assert subprocess.run(command).returncode == 0
