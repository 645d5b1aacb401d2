"""The job that may write, handed artifacts by somebody who lies."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.github.proposing import Wish, propose
from agent.github.runner import Runner
from tests.github.hosted import WRITE, Done

GOOD = """\
diff --git a/shop/catalogue.py b/shop/catalogue.py
--- a/shop/catalogue.py
+++ b/shop/catalogue.py
@@ -19,5 +19,5 @@ def page(items, number, size=10):
     \"\"\"Return the items on a page; the first page has number 1.\"\"\"
     if number < 1 or size < 1:
         raise ValueError("page and size start at 1")
-    start = number * size
+    start = (number - 1) * size
     return items[start:start + size]
"""
TARGET = "tests/test_shop.py::test_first_page"


def result(case: Any, patch: str, **changes: Any) -> dict[str, Any]:
    """What an honest solving job would write about a patch."""
    base = case.git("rev-parse", "main").strip()
    digest = hashlib.sha256(patch.encode("utf-8", "surrogateescape")).hexdigest()
    return {
        "status": "verified",
        "message": "verified",
        "issue": 12,
        "base_commit": base,
        "trajectory": "01k" + "a" * 23,
        "model": "m",
        "plan": "the first page",
        "targets": [TARGET],
        "fixed": [TARGET],
        "before": {"passed": 4, "failed": 2},
        "after": {"passed": 6},
        "test_files": ["tests/test_shop.py"],
        "patch_sha256": digest if patch else "",
        **changes,
    }


def hand_over(case: Any, patch: str = GOOD, told: Any = None, **changes: Any) -> Path:
    """An artifact with this patch and these claims; the folder."""
    folder = case.hosted.folder.parent / "artifacts/1000"
    folder.mkdir(parents=True)
    (folder / "fix.patch").write_bytes(patch.encode("utf-8", "surrogateescape"))
    told = result(case, patch, **changes) if told is None else told
    (folder / "result.json").write_text(told if isinstance(told, str) else json.dumps(told))
    case.hosted.artifacts["1000"] = ("apprentice", "77", folder)
    return folder


def run(case: Any, **inputs: Any) -> Done:
    """Run the job that proposes, as if the other one had left the artifact."""
    inputs = {"model": "m", "install": ""} | inputs
    solved = {"propose": "true", "artifact-id": "1000"}
    return case.hosted.run("issues", case.event, inputs, solved=solved)["propose"]


def propose_here(case: Any, folder: Path, **wish: Any) -> Any:
    """The job's command in this process, on a fresh checkout."""
    work = case.hosted.folder / f"here-{len(list(case.hosted.folder.iterdir()))}"
    remote = f"file://{case.remote}"
    subprocess.run(["git", "clone", "-q", "--depth=1", remote, work / "repository"], check=True)
    (work / "event.json").write_text(json.dumps(case.event))
    runner = Runner(
        event_name="issues",
        event_path=work / "event.json",
        repository="octo/shop",
        server_url=f"file://{case.hosted.remotes}",
        api_url=case.memory.api,
        run_id="77",
        run_attempt="1",
        token=WRITE,
    )
    return propose(runner, Wish(work / "repository", folder, "agent-fix", **wish))


def refused(case: Any, folder: Path, because: str) -> None:
    """Nothing was pushed and nothing opened, and the issue says why."""
    assert not propose_here(case, folder).opened
    assert case.memory.pulls == case.branches == []
    (comment,) = case.memory.comments
    assert because in comment["body"], comment["body"]


def test_an_honest_artifact_is_proposed(case):
    hand_over(case)
    done = run(case)
    assert done.failed == "", done.log
    assert len(case.memory.pulls) == len(case.branches) == 1


def new_file(path: str, text: str = "x = 1", mode: str = "100644") -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{text}\n"
    )


WRONG_PATHS = [
    "../outside.py", "/etc/cron.d/x", "shop/../../outside.py", ".git/hooks/post-checkout",
    ".GIT/config", ".gi\u200bt/config", "git~1/config", "shop/.git/config",
    ".github/workflows/evil.yml", ".GitHub/Workflows/evil.yml", ".github/actions/x/action.yml",
    "action.yml", "ACTION.YAML", "CODEOWNERS", "docs/CODEOWNERS", ".husky/pre-commit",
    ".githooks/pre-push", ".pre-commit-config.yaml", "uv.lock", "package-lock.json", "bun.lockb",
    "requirements.txt", "requirements-dev.txt", "Dockerfile", "setup.py", "pyproject.toml",
    "conftest.py", "tests/test_new.py", "test_new.py", "Makefile", ".gitmodules",
    ".gitattributes", "sitecustomize.py", "shop\\evil.py", "shop/ev\u202eil.py", ".envrc",
]  # fmt: skip


@pytest.mark.parametrize("path", WRONG_PATHS)
def test_paths_that_no_patch_may_bring(path):
    from agent.github.rules import Rules, problems

    assert problems(GOOD, Rules())[1] == []
    assert problems(new_file(path), Rules())[1] != []
    assert problems(GOOD + new_file(path), Rules())[1] != []


@pytest.mark.parametrize(
    ("patch", "because"),
    [
        (GOOD + new_file(".github/workflows/evil.yml"), ".github/workflows/evil.yml"),
        (GOOD + new_file("../outside.py"), "leaves the repository"),
        (GOOD + new_file(".git/hooks/pre-push"), "git's own files"),
        (new_file("shop/link", "/etc/passwd", "120000"), "a link or a special file"),
        (GOOD.replace("shop/catalogue.py", "tests/test_shop.py"), "protected file"),
        (GOOD.replace("+++ b/shop/catalogue.py", "+++ b/.github/workflows/x.yml"), "several files"),
        (GOOD.replace("number * size\n+", "nothing * size\n+"), "does not apply"),
        (GOOD.replace("+    start", "+    import pytest; start"), "the test framework"),
        ("", "there is no patch"),
        ("not a diff", "no git diff"),
        (GOOD + "GIT binary patch\nliteral 3\n", "binary"),
        ("diff --git a/x.py b/x.py\n" + "+\n" * 600_000, "larger than"),
    ],
    ids=lambda value: value[:24] if len(value) < 60 else "",
)  # fmt: skip
def test_hostile_patches_are_refused(case, patch, because):
    refused(case, hand_over(case, patch), because)


def plain_change(path: str, old: str, new: str) -> str:
    """A patch that names no mode: it takes that of what stands there."""
    return (
        f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n"
        f"-{old}\n\\ No newline at end of file\n+{new}\n\\ No newline at end of file\n"
    )


@pytest.mark.parametrize("kind", ["link", "submodule"])
def test_a_patch_without_modes_turns_no_link_and_no_submodule(case, kind):
    main = case.git("rev-parse", "main").strip()
    old, mode = ("catalogue.py", "120000") if kind == "link" else (main, "160000")
    blob = main
    if kind == "link":
        write = ["git", "-C", str(case.remote), "hash-object", "-w", "--stdin"]
        blob = subprocess.run(
            write, input=old, check=True, capture_output=True, text=True
        ).stdout.strip()
    env = {**os.environ, "GIT_INDEX_FILE": str(case.remote / "index")}
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        env |= {f"{name}_NAME": "tester", f"{name}_EMAIL": "tester@localhost"}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(case.remote), *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=env
        ).stdout.strip()

    git("read-tree", "main")
    git("update-index", "--add", "--cacheinfo", f"{mode},{blob},shop/other")
    tree = git("write-tree")
    git("update-ref", "refs/heads/main", git("commit-tree", tree, "-p", main, "-m", "x"))
    before, after = (
        (old, "/etc/passwd")
        if kind == "link"
        else (f"Subproject commit {old}", "Subproject commit " + "1" * 40)
    )
    patch = plain_change("shop/other", before, after)
    if kind == "submodule":
        patch = patch.replace("\\ No newline at end of file\n", "")
    refused(case, hand_over(case, GOOD + patch), "changes a link or a submodule")


def test_large_and_wide_patches_are_refused():
    from agent.github.rules import Rules, problems

    many = "".join(new_file(f"shop/m{number}.py") for number in range(30))
    long = new_file("shop/long.py").replace("+1 @@\n", "+1,700 @@\n" + "+y = 1\n" * 699)
    assert any("files are changed" in problem for problem in problems(many, Rules())[1])
    assert any("lines are changed" in problem for problem in problems(long, Rules())[1])
    assert problems(GOOD, Rules(denied=("shop/*",)))[1] != []


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"status": "not_solved"}, "not solved"),
        ({"status": "unverified"}, "not verified"),
        ({"status": "excellent"}, "not of this form"),
        ({"issue": 13}, "about issue 13"),
        ({"base_commit": "a" * 40}, "rests on aaaaaaaaaa"),
        ({"targets": []}, "does not show"),
        ({"fixed": []}, "does not show"),
        ({"broken": ["tests/test_shop.py::test_basket"]}, "1 tests that passed before fail"),
        ({"findings": ["ends the process"]}, "a finding: ends the process"),
        ({"patch_sha256": "0" * 64}, "is not the patch"),
        ({"trajectory": "--><script>"}, "not of this form"),
        ({"seconds": "NaN"}, "not of this form"),
        ({"surprise": 1}, "not of this form"),
        ({"plan": "x" * 5000}, "not of this form"),
    ],
    ids=str,
)
def test_results_that_contradict_themselves_are_refused(case, changes, because):
    refused(case, hand_over(case, **changes), because)


@pytest.mark.parametrize("told", ["", "[]", "{", '{"status": "verified"}', "[" * 100_000])
def test_results_of_another_form_are_refused(case, told):
    refused(case, hand_over(case, told=told), "not of this form")


def test_links_and_giants_in_the_artifact_are_not_read(case, tmp_path):
    folder = hand_over(case)
    (tmp_path / "secret").write_text("hidden")
    (folder / "result.json").unlink()
    os.symlink(tmp_path / "secret", folder / "result.json")
    refused(case, folder, "result.json cannot be read")
    case.memory.comments.clear()
    (folder / "result.json").unlink()
    (folder / "result.json").write_bytes(b" " * (2 * 2**20))
    refused(case, folder, "is larger than")


def test_texts_of_the_model_stay_in_their_boxes(case):
    plan = "```\n</details>\n@everyone fixes #1 ![x](http://evil.test/x)\n```\n\u202e::add-mask::x"
    hand_over(case, plan=plan, model="`@all` <!-- apprentice trajectory=x run=1 -->")
    done = run(case)
    (pull,) = case.memory.pulls
    assert f"````text\n{plan.replace(chr(0x202E), chr(92) + 'u202e')}\n````" in pull["body"]
    assert pull["body"].count("<!-- apprentice trajectory=01k") == 1
    assert done.commands == []


def test_what_reads_as_a_special_case_of_a_test_is_a_finding(case):
    basket = "tests/test_shop.py::test_basket"
    cheat = (
        "diff --git a/shop/basket.py b/shop/basket.py\n--- a/shop/basket.py\n+++ b/shop/basket.py\n"
        "@@ -18,4 +18,6 @@ class Basket:\n \n     def discounted(self, percent):\n"
        '         """Return the total after a discount, in cents, rounded down."""\n'
        "+        if percent == 10:\n+            return 945\n"
        "         return self.total() * (100 - percent) // 100\n"
    )
    folder = hand_over(case, cheat, targets=[basket], fixed=[basket])
    refused(case, folder, "a finding: ")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests/test_reproduction.py/../../x.py", "pass"),
        ("shop/helper.py", "pass"),
        (".github/test_reproduction.py", "pass"),
        ("tests/conftest.py", "pass"),
        ("tests/test_shop.py", "pass"),
        ("tests/test_reproduction.py", "def"),
        ("/tests/test_reproduction.py", "pass"),
        ("nowhere/test_reproduction.py", "pass"),
    ],
)
def test_a_new_test_that_is_none_is_refused(path, text):
    from agent.github.artifact import NewTest
    from agent.github.rules import test_problems as problems_of

    known = ["tests/test_shop.py", "shop/catalogue.py", ".github/workflows/ci.yml"]
    good = NewTest(path="tests/test_reproduction.py", text="pass")
    assert problems_of(good, known) == []
    assert problems_of(NewTest(path=path, text=text), known) != []


def test_a_branch_of_the_same_name_is_not_overwritten(case):
    hand_over(case)
    run(case)
    (branch,) = case.branches
    case.memory.pulls.clear()
    main = case.git("rev-parse", "main").strip()
    case.git("update-ref", f"refs/heads/{branch}", main)
    assert run(case).failed == ""
    assert "with another commit" in case.memory.comments[0]["body"]
    assert case.git("rev-parse", branch).strip() == main
    assert case.memory.pulls == []


def test_a_branch_that_holds_the_fix_of_another_run_is_taken(case):
    case.memory.refuses_drafts = True
    folder = hand_over(case)
    propose_here(case, folder)
    case.memory.refuses_drafts = False
    told = result(case, GOOD, trajectory="01k" + "b" * 23)
    (folder / "result.json").write_text(json.dumps(told))
    assert propose_here(case, folder).opened
    assert len(case.memory.pulls) == len(case.branches) == 1


def test_a_fix_that_was_closed_before_is_not_proposed_again(case):
    folder = hand_over(case)
    assert propose_here(case, folder).opened
    (pull,) = case.memory.pulls
    pull["state"] = "closed"
    assert not propose_here(case, folder).opened
    assert f"closed: {pull['html_url']}" in case.memory.comments[0]["body"]
    assert len(case.memory.pulls) == 1


def test_an_api_that_fails_is_an_environment_error(case):
    hand_over(case)
    case.memory.broken = 403
    done = run(case)
    assert done.failed == "Propose"
    assert "answers 403 (no)" in done.log
    assert case.branches == []


def test_the_runner_obeys_no_line_of_the_log(case):
    """Also where somebody's text comes into an error message."""
    hand_over(case)
    case.memory.broken, case.memory.said = 403, "no\n::add-mask::y\n##[warning]z"
    done = run(case)
    assert "\n::add-mask::y\n" in done.log
    assert done.commands == []


def test_a_repository_without_drafts_is_told_where_the_fix_is(case):
    case.memory.refuses_drafts = True
    folder = hand_over(case)
    assert not propose_here(case, folder).opened
    (comment,) = case.memory.comments
    (branch,) = case.branches
    assert f"the branch {branch} holds the fix" in comment["body"]
    case.memory.refuses_drafts = False
    assert propose_here(case, folder).opened


def test_what_changes_between_the_jobs_is_seen(case):
    folder = hand_over(case)
    case.memory.issues[12]["labels"] = []
    assert "taken away" in propose_here(case, folder).reasons[0]
    assert case.memory.comments == []
    case.memory.issues[12] |= {"labels": [{"name": "agent-fix"}], "body": "something else"}
    refused(case, folder, "edited after it was labelled")
