"""`agent fix` by hand: what it checks, what it changes, and what it leaves alone."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from agent import undo
from agent.cli.fix import _open_policy
from agent.config import Settings
from agent.fix.repair import changed_lines, deliverable
from agent.fix.silenced import silences
from agent.verify.verifier import Verdict
from agent.workspace import Workspace
from policies.hub.store import MissingWeights
from tests.agent.shop import agent, script
from tests.fix import project
from tests.fix.project import FIX_MEAN, FIX_TOTAL, GOOD, UNDEFINED, WRONG, fix, git, stage, state
from tools.sandbox.base import File, Spec
from tools.testing.detect import from_text

NOBODY = "scripted:/nobody/is/asked.json"
MEAN_CHECK = "grep -n '/ len' shop/prices.py"
TOTAL_CHECK = "grep -n 'sum(prices)' shop/prices.py"


@pytest.fixture
def repo(git_repo, monkeypatch):
    root = git_repo(project.FILES)
    monkeypatch.chdir(root)
    return root


def commands(report):
    return [(check["command"].split()[0], check["passed"]) for check in report["checks"]]


def test_a_good_commit_passes_and_asks_no_model(repo):
    stage(repo, GOOD + "\n\ndef none():\n    return []\n")
    before = state(repo)
    report = fix(NOBODY)
    assert report["status"] == "nothing_to_do"
    assert report["exit_code"] == 0
    assert [check["command"] for check in report["checks"]] == [
        "ruff check --no-fix --force-exclude --output-format=concise shop/prices.py",
        "pytest tests/test_prices.py",
    ]
    assert state(repo) == before


def test_the_checks_of_the_active_environment_are_found(repo, monkeypatch):
    monkeypatch.delenv("PRE_COMMIT", raising=False)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    stage(repo, GOOD + "\n\ndef none():\n    return []\n")
    report = json.loads(agent("fix", "--json", "--model", NOBODY).stdout)
    assert report["exit_code"] == 0, report
    assert commands(report) == [("ruff", True), ("pytest", True)]


def test_nothing_staged_and_nothing_touched_is_well(repo):
    assert fix(NOBODY)["status"] == "nothing_to_do"
    git(repo, "rm", "-q", "tests/test_other.py", "shop/other.py")
    assert fix(NOBODY)["checks"] == []


def test_a_failing_test_is_fixed_left_unstaged_and_fixed_once(repo, tmp_path):
    path = stage(repo, WRONG)
    index = git(repo, "ls-files", "--stage")
    report = fix(script(tmp_path, FIX_MEAN))
    assert (report["status"], report["exit_code"]) == ("fixed", 1), report
    assert report["files"] == ["shop/prices.py"]
    assert "+    return total(prices) / len(prices)" in report["diff"]
    assert len(report["trajectories"]) == 1
    assert "total(prices) / len(prices)" in path.read_text()
    assert git(repo, "ls-files", "--stage") == index

    before = state(repo)
    again = fix(NOBODY)
    assert again["exit_code"] == 1
    assert "files on disk pass" in again["message"]
    assert "git add shop/prices.py" in again["hint"]
    assert state(repo) == before

    git(repo, "add", "-u")
    assert fix(NOBODY)["exit_code"] == 0


def test_a_linters_complaint_is_fixed(repo, tmp_path):
    path = stage(repo, UNDEFINED)
    report = fix(script(tmp_path, FIX_TOTAL), "--check", "ruff check {python}")
    assert report["status"] == "fixed"
    assert "F821" in report["checks"][0]["output"]
    assert "return sum(prices)" in path.read_text()


def test_several_checks_must_all_pass(repo, tmp_path):
    stage(repo, WRONG.replace("sum(prices)", "sum(price)"))
    checks = ("--check", TOTAL_CHECK, "--check", MEAN_CHECK)
    report = fix(script(tmp_path, [*FIX_TOTAL, *FIX_MEAN]), *checks)
    assert [check["passed"] for check in report["checks"]] == [False, False]
    assert report["status"] == "fixed"
    assert len(report["trajectories"]) == 2


def test_a_linter_is_not_content_with_what_breaks_the_tests(repo, tmp_path):
    path = stage(repo, GOOD.replace("return sum", "unused = 1\n    return sum"))
    wrong = project.edit(project.TOTAL, "return 0")
    critique = f"critique\nmistake: it adds nothing\nsymbol: {project.TOTAL}"
    model = script(tmp_path, [project.plan(project.TOTAL), wrong, critique, FIX_TOTAL[1]])
    works = "python -c 'from shop.prices import total; assert total([1]) == 1'"
    report = fix(model, "--check", "ruff check {python}", "--check", works)
    assert [check["passed"] for check in report["checks"]] == [False, True]
    assert (report["status"], len(report["trajectories"])) == ("fixed", 1)
    assert path.read_text() == GOOD


def test_half_a_fix_is_none(repo, tmp_path):
    stage(repo, WRONG.replace("sum(prices)", "sum(price)"))
    before = state(repo)
    checks = ("--check", TOTAL_CHECK, "--check", MEAN_CHECK)
    report = fix(script(tmp_path, FIX_TOTAL), *checks)
    assert report["status"] == "environment"
    assert "script ran out" in report["message"]
    assert state(repo) == before


def test_a_complaint_is_not_silenced(repo, tmp_path):
    stage(repo, UNDEFINED)
    before = state(repo)
    silent = project.edit(project.TOTAL, "return sum(price)  # noqa: F821")
    model = script(tmp_path, [project.plan(project.TOTAL), silent] * 3)
    report = fix(model, "--check", "ruff check {python}")
    assert report["status"] == "not_solved"
    assert "only silenced one" in report["message"]
    assert len(report["trajectories"]) == 3
    assert state(repo) == before


def test_other_files_are_not_changed(repo, tmp_path):
    stage(repo, GOOD.replace("sum(prices)", "sum(prices)  # the sum"))
    stage(repo, "def twice(x):\n    return x * x * x\n", "shop/other.py")
    before = state(repo)
    other = (
        "edit_symbol\nsymbol: shop/other.py::twice\n```python\ndef twice(x):\n    return 2 * x\n```"
    )
    model = script(tmp_path, [project.plan("shop/other.py::twice"), other, other])
    check = ("--check", "grep -n '2 . x' shop/other.py")
    assert fix(model, "shop/prices.py", *check)["exit_code"] != 0
    assert state(repo) == before
    report = fix(script(tmp_path, [project.plan("shop/other.py::twice"), other]), *check)
    assert report["files"] == ["shop/other.py"]


def test_what_the_user_lets_be_changed_is_no_more_than_what_is_passed(repo, tmp_path):
    settings = '[tool.apprentice]\nprotected = ["!shop/prices.py", "!shop/other.py"]\n'
    stage(repo, project.FILES["pyproject.toml"] + settings, "pyproject.toml")
    stage(repo, GOOD.replace("sum(prices)", "sum(prices)  # the sum"))
    before = state(repo)
    other = (
        "edit_symbol\nsymbol: shop/other.py::twice\n```python\ndef twice(x):\n    return 2 * x\n```"
    )
    model = script(tmp_path, [project.plan("shop/other.py::twice"), other, other])
    check = ("--check", "grep -n '2 . x' shop/other.py")
    assert fix(model, "shop/prices.py", *check)["exit_code"] != 0
    assert state(repo) == before


@pytest.mark.parametrize(
    ("files", "modes", "ok"),
    [
        ({"a.py": b"y"}, {}, True),
        ({"a.py": b"y"}, {"a.py": "100644"}, True),
        ({"a.py": b"y"}, {"a.py": "100755"}, False),
        ({"a.py": None}, {}, False),
        ({"a.py": b"y", "b.py": b"y"}, {}, False),
    ],
)
def test_only_new_bytes_of_editable_files_are_delivered(files, modes, ok):
    command = from_text("true")
    held = tuple(File(name, b"x", "100644") for name in ("a.py", "b.py"))
    tree = Workspace(held, "none", Spec(root="/"), command, 1.0)
    verdict = Verdict(True, "", files=files, modes=modes)
    assert deliverable(tree, verdict, ["a.py"]) == (files if ok else None)


def test_what_is_staged_is_checked_not_what_is_on_disk(repo):
    stage(repo, GOOD + "\n\ndef none():\n    return []\n")
    (repo / "shop/prices.py").write_text("broken(")
    (repo / "tests/test_new.py").write_text("def test_new():\n    assert False\n")
    before = state(repo)
    assert (
        fix(NOBODY, "--check", MEAN_CHECK, "--check", "test ! -e tests/test_new.py")["exit_code"]
        == 0
    )
    assert state(repo) == before


def test_unstaged_work_on_top_is_not_mixed(repo):
    stage(repo, WRONG)
    (repo / "shop/prices.py").write_text(WRONG + "\n\ndef draft():\n    return 1\n")
    before = state(repo)
    report = fix(NOBODY, "--check", MEAN_CHECK)
    assert report["exit_code"] == 1
    assert "shop/prices.py: there are unstaged changes on top" in report["message"]
    assert state(repo) == before


def test_a_file_beside_unstaged_work_is_fixed(repo, tmp_path):
    stage(repo, WRONG)
    stage(repo, "def twice(x):\n    return 2 * x\n", "shop/other.py")
    draft = "def twice(x):\n    return x * 3\n"
    (repo / "shop/other.py").write_text(draft)
    report = fix(script(tmp_path, FIX_MEAN), "--check", MEAN_CHECK)
    assert report["files"] == ["shop/prices.py"]
    assert (repo / "shop/other.py").read_text() == draft


def test_an_unmerged_index_is_refused(repo):
    git(repo, "checkout", "-q", "-b", "side")
    stage(repo, GOOD + "\nA = 1\n")
    git(repo, "commit", "-qm", "a")
    git(repo, "checkout", "-q", "-")
    stage(repo, GOOD + "\nB = 1\n")
    git(repo, "commit", "-qm", "b")
    subprocess.run(["git", "-C", repo, "merge", "-q", "side"], capture_output=True)
    before = state(repo)
    report = fix(NOBODY)
    assert (report["status"], report["exit_code"]) == ("usage", 2)
    assert "unresolved merge conflict" in report["message"]
    git(repo, "add", "-u")
    report = fix(NOBODY)
    assert report["exit_code"] == 2
    assert "marks of a merge conflict" in report["message"]
    assert state(repo)[0] == before[0]


def test_files_that_are_not_staged_are_named(repo):
    (repo / "shop/new.py").write_text("x = 1\n")
    report = fix(NOBODY, "shop/new.py")
    assert report["exit_code"] == 2
    assert "shop/new.py is not staged" in report["message"]
    assert fix(NOBODY, "/etc/passwd")["exit_code"] == 2


def test_the_time_limit_is_hard(repo, tmp_path):
    stage(repo, WRONG)
    before = state(repo)
    report = fix(script(tmp_path, FIX_MEAN), "--check", "sh -c 'sleep 3; exit 1'", "--timeout", "1")
    assert report["exit_code"] == 1
    assert "time limit of 1 s" in report["message"]
    assert state(repo) == before
    (run,) = json.loads(agent("experience", "list", "--json").stdout)["trajectories"]
    assert run["status"] == "interrupted"


def test_control_c_leaves_everything(repo, tmp_path, private_home):
    stage(repo, WRONG)
    before = state(repo)
    arguments = ["fix", "--model", script(tmp_path, FIX_MEAN), "--env", sys.prefix]
    command = [sys.executable, "-m", "agent", *arguments, "--check", "sh -c 'sleep 2; exit 1'"]
    environment = {**os.environ, "PYTHONPATH": str(project.shop.EXAMPLE.parents[1])}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        locks = private_home / "locks"
        while not locks.exists():
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=30)[1]
    assert (process.returncode, "interrupted" in error) == (130, True)
    assert state(repo) == before


def test_before_the_first_commit_checks_run_and_nothing_is_repaired(git_repo, monkeypatch):
    root = git_repo({**project.FILES, "shop/prices.py": WRONG}, commit=False)
    monkeypatch.chdir(root)
    git(root, "add", "-A")
    report = fix(NOBODY, "--check", MEAN_CHECK)
    assert report["exit_code"] == 1
    assert "first commit" in report["message"]
    stage(root, GOOD)
    assert fix(NOBODY, "--check", MEAN_CHECK)["exit_code"] == 0


def test_tests_are_not_repaired(repo):
    stage(repo, project.FILES["tests/test_other.py"].replace("4", "5"), "tests/test_other.py")
    report = fix(NOBODY, "--check", "grep 4 {tests}")
    assert report["exit_code"] == 1
    assert "tests and settings never are" in report["message"]


def test_weights_that_are_missing_are_not_fetched(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("APPRENTICE_MODELS", str(tmp_path))
    stage(repo, WRONG)
    report = fix("qwen2.5-coder-0.5b", "--check", MEAN_CHECK)
    assert report["exit_code"] == 3
    assert "agent models pull qwen2.5-coder-0.5b" in report["message"]


@pytest.mark.parametrize("model", ["torch:qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b@base"])
def test_missing_weights_by_other_names_are_not_fetched(model, tmp_path, monkeypatch):
    monkeypatch.setenv("APPRENTICE_MODELS", str(tmp_path))
    with pytest.raises(MissingWeights, match="agent models pull"):
        _open_policy(Settings(model=model))


def test_what_a_killed_run_left_is_undone_before_anything_is_checked(repo):
    path = stage(repo, GOOD + "\n\ndef none():\n    return []\n")
    changes = []
    for name, new in (("shop/prices.py", b"half"), ("shop/other.py", b"other half")):
        old = (repo / name).read_bytes()
        scratch = f"shop/.apprentice-{len(changes)}"
        changes.append(
            undo.Change(path=name, scratch=scratch, old=old, mode=0o644, new=undo.digest(new))
        )
    undo.note(repo, changes, [], git(repo, "rev-parse", "HEAD").strip(), "")
    before = state(repo)
    path.write_text("half")
    assert fix(NOBODY)["exit_code"] == 0
    assert state(repo) == before


def test_without_checks_it_says_how_to_name_them(git_repo, monkeypatch):
    root = git_repo({"a.py": "x = 1\n"})
    monkeypatch.chdir(root)
    stage(root, "x = 2\n", "a.py")
    report = fix(NOBODY)
    assert report["exit_code"] == 2
    assert "checks = [" in report["hint"]


def test_text_for_people(repo, tmp_path):
    stage(repo, WRONG)
    arguments = ("--model", script(tmp_path, FIX_MEAN), "--env", sys.prefix)
    text = agent("fix", *arguments, "--check", MEAN_CHECK).stdout
    assert "grep -n '/ len' shop/prices.py: failed" in text
    assert "Fixed shop/prices.py" in text
    assert "git add shop/prices.py" in text


@pytest.mark.parametrize(
    ("before", "after", "silenced"),
    [
        ("x = y\n", "x = y  # type: ignore[name-defined]\n", True),
        ("f()\n", "// eslint-disable-next-line\nf()\n", True),
        ("x = y  # noqa\n", "x = 1\n", False),
        ("x = y  # noqa: F401\n", "x = z  # noqa: F401\n", False),
        ("x = y  # noqa: F401\n", "x = z  # noqa: F401, F821\n", True),
        ("x = y  # noqa: F401\n", "x = y  # noqa\n", True),
        ("x = y\n", "++x  # noqa\n", True),
        ("x = y\n", "# mypy: disable-error-code=name-defined\nx = y\n", True),
        ("x = y\n", "# pylint: skip-file\nx = y\n", True),
        ("fn f() {}\n", "#[expect(dead_code)]\nfn f() {}\n", True),
        ("f()\n", "// biome-ignore lint/x: y\nf()\n", True),
        ("f()\n", "//lint:ignore SA1000 y\nf()\n", True),
        ("x = y\n", "nosecret = 1\n", False),
    ],
)
def test_comments_that_silence_a_check_are_known(before, after, silenced):
    assert silences({"a": before.encode()}, {"a": after.encode()}) is silenced


def test_changed_lines_count_from_one():
    assert changed_lines(None, b"a\nb\n") == [1, 2]
    assert changed_lines(b"a\nb\nc\n", b"a\nX\nc\n") == [2]
    assert changed_lines(b"a\nb\nc\n", b"a\nc\n") == [2]
    assert changed_lines(b"a\n", b"a\n") == []
