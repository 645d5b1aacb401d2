"""Tasks made of real repositories in real sandboxes, through the command line."""

import json
from pathlib import Path

import pytest

from agent.config import load_settings
from agent.tasks.instance import read_instances
from agent.tasks.make import Trials, prepare
from agent.tasks.recipe import Recipe
from agent.tasks.tree import base_files, patched, source, visible_files
from agent.tasks.trial import Outcome, limited, try_bug
from tests.agent.shop import agent
from tests.documents import conforms
from tests.tasks.samples import MODULE, NEEDS, SUMS, TESTS
from tools.sandbox.base import File

pytestmark = pytest.mark.slow

FIXED = ["--sandbox", "bubblewrap", *(word for need in NEEDS for word in ("--package", need))]


def make(*arguments, code=0):
    result = agent("tasks", "make", *arguments, *FIXED, "--json")
    assert result.exit_code == code, (result.stdout, result.stderr)
    return conforms(json.loads(result.stdout))


def test_bugs_become_tasks_the_same_ones_whatever_runs_in_parallel(git_repo, tmp_path):
    root = git_repo(SUMS)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    report = make(root, "--limit", "4", "--jobs", "2", "-o", first)
    again = make(root, "--limit", "4", "--jobs", "1", "-o", second)
    assert report["tasks"] == 4
    assert report["sha256"] == again["sha256"]
    assert first.read_bytes() == second.read_bytes()
    instances, bad = read_instances(first)
    assert bad == []
    assert len({instance.family for instance in instances}) >= 3
    for instance in instances:
        base = {file.path: file.data for file in base_files(instance)}
        for test in instance.fail_to_pass:
            assert test.rpartition("::")[2].encode() + b"(" not in base.get("test_sums.py", b"")
        fixed = patched(visible_files(instance), instance.patch)
        assert fixed == source(instance).files
        assert "test_" not in instance.problem_statement
    assert (tmp_path / "first.card.md").exists()

    checked = agent("tasks", "check", first, "--sandbox", "bubblewrap", "--json")
    assert checked.exit_code == 0, checked.stdout
    assert conforms(json.loads(checked.stdout)) == {
        "schema": "apprentice.tasks_check",
        "version": 1,
        "tasks": 4,
        "gold": 4,
        "base": 0,
        "problems": [],
    }


def test_a_stopped_run_goes_on_where_it_was(git_repo, tmp_path):
    root = git_repo(SUMS)
    output = tmp_path / "tasks.jsonl"
    whole = make(root, "--limit", "2", "-o", output)
    (log,) = (tmp_path / "tasks.jsonl.work").iterdir()
    lines = [line for line in log.read_text().splitlines() if line]
    kept = next(line for line in lines if '"kept"' in line)
    log.write_text(f"{kept}\n{lines[-1][:40]}")
    resumed = make(root, "--limit", "2", "-o", output)
    assert resumed["sha256"] == whole["sha256"]
    ids = [
        json.loads(line)["mutation"] for line in log.read_text().splitlines() if line[-1:] == "}"
    ]
    assert len(ids) == len(set(ids))
    assert ids[0] == json.loads(kept)["mutation"]


def test_a_manifest_says_whether_it_was_regenerated(git_repo, tmp_path):
    root = git_repo(SUMS)
    needs = json.dumps(list(NEEDS))
    recipe = f'[[repository]]\nrepo = "{root}"\npackages = {needs}\nlimit = 1\n'
    manifest = tmp_path / "m.toml"
    manifest.write_text(recipe)
    common = ["--sandbox", "bubblewrap", "-o", tmp_path / "t.jsonl", "--json"]
    made = json.loads(agent("tasks", "make", "--manifest", manifest, *common).stdout)
    manifest.write_text(f'sha256 = "{made["sha256"]}"\n{recipe}')
    assert agent("tasks", "make", "--manifest", manifest, *common).exit_code == 0
    manifest.write_text(f'sha256 = "{"0" * 64}"\n{recipe}')
    wrong = agent("tasks", "make", "--manifest", manifest, *common)
    assert wrong.exit_code == 3
    assert "is not what the manifest expects" in conforms(json.loads(wrong.stdout))["message"]


def broken_suites():
    failing = TESTS.replace("def test_total():\n", "def test_total():\n    assert False\n")
    yield (
        "fails",
        {"sums.py": MODULE, "test_sums.py": "def test_x():\n    assert 0\n"},
        "no test passes",
    )
    yield "none", {"sums.py": MODULE}, "no tests were found"
    yield "empty", {"sums.py": MODULE, "test_sums.py": "x = 1\n"}, "the suite has no tests"
    lacking = {"sums.py": MODULE, "test_sums.py": "import nowhere_to_be_found\n" + TESTS}
    yield "lacking", lacking, "packages that are not installed: nowhere_to_be_found"
    yield (
        "untested",
        {"sums.py": MODULE, "test_x.py": "def test_x():\n    pass\n"},
        "none of 0 bugs",
    )
    assert failing


@pytest.mark.parametrize(
    ("files", "problem"),
    [case[1:] for case in broken_suites()],
    ids=[c[0] for c in broken_suites()],
)
def test_a_repository_that_gives_nothing_is_told_and_the_others_go_on(
    git_repo, tmp_path, files, problem
):
    bad, good = git_repo(files), git_repo(SUMS)
    report = make(bad, good, "--limit", "1", "-o", tmp_path / "t.jsonl", code=1)
    assert report["tasks"] == 1
    assert [row["where"] for row in report["problems"]] == [str(bad)]
    assert problem in report["problems"][0]["problem"]


def test_a_suite_that_takes_too_long_is_told(git_repo, tmp_path):
    slow = (
        "import time\nimport pytest\n\n\n@pytest.mark.parametrize('n', range(20))\n"
        "def test_slow(n):\n    time.sleep(0.3)\n"
    )
    root = git_repo({"sums.py": MODULE, "test_sums.py": slow})
    report = make(root, "-o", tmp_path / "t.jsonl", "--test-timeout", "2", code=3)
    assert "takes longer than 2 s" in report["problems"][0]["problem"]


def test_flaky_and_failing_tests_are_left_out(git_repo, tmp_path):
    flaky = "\n\ndef test_flaky():\n    assert hash('x') % 2 == PARITY\n"
    failing = "\n\ndef test_failing():\n    assert total([1]) == 2\n"
    parity = "import os\nPARITY = int(os.environ['PYTHONHASHSEED'] == '0') ^ (hash('x') % 2) ^ 1\n"
    root = git_repo({"sums.py": MODULE, "test_sums.py": parity + TESTS + flaky + failing})
    report = make(root, "--limit", "2", "-o", tmp_path / "t.jsonl")
    (funnel,) = report["funnels"]
    assert funnel["flaky"] == ["test_sums.py::test_flaky"]
    assert funnel["failing"] == ["test_sums.py::test_failing"]
    for instance in read_instances(tmp_path / "t.jsonl")[0]:
        ids = {*instance.fail_to_pass, *instance.pass_to_pass}
        assert not ids & {"test_sums.py::test_flaky", "test_sums.py::test_failing"}
        assert "test_sums.py::test_total" in ids


def test_what_cannot_be_a_task_is_sorted_out(git_repo):
    root = git_repo(
        SUMS
        | {
            "test_more.py": "import test_sums\n\n\nclass TestAll:\n"
            "    test_it = staticmethod(test_sums.test_total)\n"
        }
    )
    recipe = Recipe(repo=str(root), packages=NEEDS)
    ready = prepare(recipe, load_settings(None, {"sandbox": "bubblewrap"}), lambda _: None)
    workspace = limited(ready.workspace, ready.baseline)
    tests = ready.baseline.stable

    def outcome(old, new, covering=tests):
        assert old in MODULE
        file = File("sums.py", MODULE.replace(old, new).encode())
        return try_bug(workspace, ready.baseline, "m", file, covering).outcome

    assert outcome("value < low", "value <= low") is Outcome.UNSEEN
    assert outcome("def clamp", "1 / 0\ndef clamp") is Outcome.BREAKS_IMPORT
    assert outcome("result += price", "result -= price") is Outcome.NOT_HIDEABLE
    assert outcome("word[0].upper()", "word[0].lower()") is Outcome.KEPT
    by_luck = "import os\n    if os.environ['PYTHONHASHSEED'] == '0': return None\n    words = name"
    assert outcome("words = name", by_luck) is Outcome.FLAKY
    hangs = "    while True: pass\n    words = name"
    one = ("test_sums.py::test_no_initials",)
    assert outcome("    words = name", hangs, one) is Outcome.HUNG


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name repositories, or a manifest"),
        (["x", "--manifest", "m.toml"], "name repositories, or a manifest"),
        (["--manifest", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["x", "--family", "nonsense"], "there is no family 'nonsense'"),
    ],
)
def test_wrong_usage_is_told(arguments, message):
    result = agent("tasks", "make", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_manifest_with_a_wrong_field_names_it(tmp_path):
    path = Path(tmp_path / "m.toml")
    path.write_text('[[repository]]\nrepo = "x"\nlimits = 3\n')
    result = agent("tasks", "make", "--manifest", path)
    assert result.exit_code == 2
    assert "repository.0.limits" in result.stderr


def test_trials_of_another_commit_are_not_reused(git_repo, tmp_path):
    settings = load_settings(None, {"sandbox": "bubblewrap"})
    paths = set()
    for module in (MODULE, MODULE + "\nx = 1\n"):
        root = git_repo({"sums.py": module, "test_sums.py": TESTS})
        ready = prepare(Recipe(repo=str(root), packages=NEEDS), settings, lambda _: None)
        paths.add(Trials(tmp_path, ready).journal.path)
    assert len(paths) == 2
