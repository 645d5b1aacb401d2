"""Tasks from the history of real repositories, through the command line."""

import json
import os
import subprocess

import pytest

from agent.tasks.index import DEFAULT_INDEX
from agent.tasks.instance import read_instances
from tests.agent.shop import agent
from tests.documents import conforms
from tests.tasks.package_index import sdist
from tests.tasks.samples import MODULE, NEEDS, TESTS

pytestmark = pytest.mark.slow

NEW_TEST = '\n\ndef test_initials_of_blanks():\n    assert initials(" a  b ") == "AB"\n'
INDEX = os.environ.get("PIP_INDEX_URL", DEFAULT_INDEX).rstrip("/")
BROKEN = MODULE.replace(" if word)", ")")


def commit(root, message, files):
    for name, text in files.items():
        (root / name).write_text(text)
    subprocess.run(["git", "-C", root, "add", "-A"], check=True)
    subprocess.run(["git", "-C", root, "commit", "-qm", message], check=True)


def history(git_repo):
    root = git_repo(
        {"sums.py": BROKEN, "test_sums.py": TESTS.replace("def test_no_initials", "def off")}
    )
    commit(
        root,
        "Fix crash on names with blanks\n\ninitials(' a  b ') raised IndexError.\n\nFixes #7",
        {"sums.py": MODULE, "test_sums.py": TESTS + NEW_TEST},
    )
    commit(root, "Fix nothing", {"sums.py": MODULE + "\n", "test_sums.py": TESTS + NEW_TEST + "\n"})
    return root


def mine(root, output, *more, code=0):
    needs = [word for need in NEEDS for word in ("--package", need)]
    fixed = ["--sandbox", "bubblewrap", "--json", "-o", output]
    result = agent("tasks", "mine", root, *needs, *fixed, *more)
    assert result.exit_code == code, (result.stdout, result.stderr)
    return conforms(json.loads(result.stdout))


def test_a_fix_becomes_a_task_that_its_patch_solves(git_repo, tmp_path):
    root = history(git_repo)
    report = mine(root, tmp_path / "t.jsonl")
    assert report["tasks"] == 1
    assert [row["problem"].split(" (")[0] for row in report["problems"]] == [
        "no test fails before it and passes after it"
    ]
    (instance,), _ = read_instances(tmp_path / "t.jsonl")
    assert set(instance.fail_to_pass) == {
        "test_sums.py::test_no_initials",
        "test_sums.py::test_initials_of_blanks",
    }
    assert "test_sums.py::test_total" in instance.pass_to_pass
    assert "raised IndexError" in instance.problem_statement
    assert "#7" not in instance.problem_statement
    checked = agent("tasks", "check", tmp_path / "t.jsonl", "--sandbox", "bubblewrap", "--json")
    assert json.loads(checked.stdout)["problems"] == []


def test_what_was_tried_is_not_tried_again_and_issues_are_used(git_repo, tmp_path):
    root = history(git_repo)
    first = mine(root, tmp_path / "t.jsonl")
    (log,) = (tmp_path / "t.jsonl.work").iterdir()
    written = log.read_bytes()
    log.write_bytes(written + b'{"commit": "cut')
    assert mine(root, tmp_path / "t.jsonl")["sha256"] == first["sha256"]
    assert log.read_bytes() == written + b'{"commit": "cut'
    issues = tmp_path / "issues.json"
    issues.write_text(json.dumps({"7": "Blanks in a name crash the badge printer"}))
    mine(root, tmp_path / "u.jsonl", "--issues", issues)
    (instance,), _ = read_instances(tmp_path / "u.jsonl")
    assert instance.problem_statement == "Blanks in a name crash the badge printer"


def test_a_history_without_fixes_is_told(git_repo, tmp_path):
    root = git_repo({"sums.py": MODULE, "test_sums.py": TESTS})
    report = mine(root, tmp_path / "t.jsonl", code=2)
    assert "no commit" in report["message"]


def test_a_release_of_a_package_becomes_a_task(index, tmp_path):
    index.upstream = INDEX
    for version, module, tests in (("1.0", BROKEN, TESTS), ("1.1", MODULE, TESTS + NEW_TEST)):
        files = {
            "sums.py": module,
            "test_sums.py": tests,
            "CHANGES.md": "## 1.1\n\n* Fix blanks.\n",
        }
        data = sdist({f"shop-{version}/{name}": text.encode() for name, text in files.items()})
        index.archives[f"shop-{version}.tar.gz"] = data
    assert mine("pypi:shop", tmp_path / "t.jsonl")["tasks"] == 1
    (instance,), _ = read_instances(tmp_path / "t.jsonl")
    assert instance.instance_id == "shop.1.1"
    assert instance.repo == "pypi:shop==1.0"
    assert instance.problem_statement == "* Fix blanks."
    assert "test_sums.py::test_initials_of_blanks" in instance.fail_to_pass
    checked = agent("tasks", "check", tmp_path / "t.jsonl", "--sandbox", "bubblewrap", "--json")
    assert json.loads(checked.stdout)["problems"] == []
