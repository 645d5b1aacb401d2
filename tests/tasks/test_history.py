from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.repository import open_repository
from agent.status import EnvironmentFailure, UsageError
from agent.tasks.history import Candidate, candidates, read_issues, statement

BASE = {
    "lib.py": "def f(x):\n    return x\n",
    "tests/test_lib.py": "def test_old():\n    pass\n",
    "CHANGES.rst": "Changes\n",
    "setup.cfg": "[x]\n",
}
FIX = {
    "lib.py": "def f(x):\n    return x + 1\n",
    "tests/test_lib.py": "def test_old():\n    pass\ndef test_new():\n    assert 1\n",
    "CHANGES.rst": "Changes\n\nFixed f.\n",
    "setup.cfg": "[y]\n",
}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True)
    return done.stdout.decode("utf-8", "replace").strip()


def commit(root: Path, message: str, files: dict[str, str | bytes | None]) -> str:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


def found(root: Path, limit: int = 100, **options: bool) -> list[Candidate]:
    return list(candidates(open_repository(root), str(root), limit, **options))


def test_a_fix_is_split_into_its_source_and_its_tests(git_repo):
    root = git_repo(BASE)
    parent = git(root, "rev-parse", "HEAD")
    for name, value in (("diff.noprefix", "true"), ("diff.renames", "copies")):
        git(root, "config", name, value)
    git(root, "config", "diff.external", "false")
    commit_id = commit(root, "Fix f (#3)\n\nIt was off by one.\n", FIX)

    (candidate,) = found(root)

    assert (candidate.commit, candidate.parent) == (commit_id, parent)
    assert candidate.message == "Fix f (#3)\n\nIt was off by one.\n"
    assert candidate.test_files == ("tests/test_lib.py",)
    assert [line for line in candidate.patch.splitlines() if line[:1] in "+-"] == [
        "--- a/lib.py", "+++ b/lib.py", "-    return x", "+    return x + 1",
    ]  # fmt: skip
    assert "b/setup.cfg" in candidate.test_patch
    assert "CHANGES" not in candidate.patch + candidate.test_patch
    git(root, "checkout", "-q", parent)
    for patch in (candidate.test_patch, candidate.patch):
        subprocess.run(["git", "-C", root, "apply", "-"], input=patch.encode(), check=True)
    assert git(root, "diff", "--name-only", commit_id) == "CHANGES.rst"


@pytest.mark.parametrize(
    ("message", "files"),
    [
        ("Fix tests only", {"tests/test_lib.py": "x = 1\n"}),
        ("Fix source only", {"lib.py": "x = 1\n"}),
        ("Fix and document", {"CHANGES.rst": "x\n", "docs/conf.py": "", "test_a.py": "x = 1\n"}),
        ("Fix with a fixture", {"lib.py": "x = 1\n", "tests/conftest.py": "x = 1\n"}),
        ("Fix and drop its test", {"lib.py": "x = 1\n", "tests/test_lib.py": None}),
        ("Fix much", {"lib.py": "x = 1\n" * 200, "test_a.py": "x = 1\n"}),
        ("Fix many", {**{f"m{n}.py": "x = 1\n" for n in range(6)}, "test_a.py": "x = 1\n"}),
        ("Fix by renaming", {"lib.py": None, "test_a.py": "", "a.bin": b"\0\1"}),
        ("Fix with bytes", {"lib.py": b"x = '\xff'\n", "test_a.py": "x = 1\n"}),
        ("Prefix the debugger's fixtures", FIX),
        ("Add a feature", FIX),
    ],
)
def test_other_commits_are_none(git_repo, message, files):
    root = git_repo(BASE)
    commit(root, message, files)
    assert found(root) == []


@pytest.mark.parametrize(
    "message",
    [
        "Fixes it",
        "A bugfix",
        "Regression in f",
        "Crashes on 0",
        "f is WRONG",
        "Closes #12",
        "gh #1",
    ],
)
def test_what_a_fix_is_called(git_repo, message):
    root = git_repo(BASE)
    commit(root, message, FIX)
    assert [c.message.strip() for c in found(root)] == [message]


def test_documents_and_hidden_folders_are_no_part_of_a_fix(git_repo):
    root = git_repo(BASE)
    commit(root, "Fix f", {**FIX, "AUTHORS": "x\n", ".changes/x.py": "x\n", "lib.cfg": "x\n"})
    (candidate,) = found(root)
    assert "lib.cfg" in candidate.patch
    assert "AUTHORS" not in candidate.patch + candidate.test_patch
    assert ".changes" not in candidate.patch + candidate.test_patch


def test_any_commit_may_be_asked_for(git_repo):
    root = git_repo(BASE)
    commit(root, "Add a feature", FIX)
    assert len(found(root, any_commit=True)) == 1


def test_the_newest_come_first_and_merges_are_left_out(git_repo):
    root = git_repo(BASE)
    main = git(root, "branch", "--show-current")
    first = commit(root, "Fix one", {"lib.py": "x = 1\n", "test_a.py": "x = 1\n"})
    git(root, "checkout", "-qb", "side", "HEAD~1")
    commit(root, "Fix two", {"other.py": "x = 2\n", "test_b.py": "x = 2\n"})
    git(root, "checkout", "-q", main)
    git(root, "merge", "-q", "--no-ff", "-m", "Merge fix #2", "side")
    last = commit(root, "Fix three", {"lib.py": "x = 3\n", "test_a.py": "x = 3\n"})

    messages = [c.message.strip() for c in found(root)]

    assert sorted(messages) == ["Fix one", "Fix three", "Fix two"]
    assert [c.commit for c in found(root, 1)] == [last]
    assert next(c for c in found(root) if c.message.startswith("Fix one")).commit == first
    assert found(root, 0) == []


def test_a_renamed_source_is_deleted_and_added(git_repo):
    root = git_repo(BASE)
    files = {"lib.py": None, "new name.py": BASE["lib.py"], "test_a.py": "import lib\n"}
    commit(root, "Fix the name", files)
    (candidate,) = found(root)
    assert "deleted file mode" in candidate.patch
    assert "+++ b/new name.py" in candidate.patch


def test_the_first_commit_of_a_shallow_clone_has_no_parent(git_repo, tmp_path):
    root = git_repo(BASE)
    commit(root, "Fix f", FIX)
    commit(root, "Fix g", {"lib.py": "x = 3\n", "tests/test_lib.py": "x = 3\n"})
    subprocess.run(
        ["git", "clone", "-q", "--depth=2", f"file://{root}", tmp_path / "c"], check=True
    )
    assert [c.message.strip() for c in found(tmp_path / "c")] == ["Fix g"]


def test_a_damaged_repository_is_an_error(git_repo):
    root = git_repo(BASE)
    commit(root, "Fix f", FIX)
    tree = git(root, "rev-parse", "HEAD~1^{tree}")
    (root / ".git/objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(EnvironmentFailure, match=r"git: .*"):
        found(root)


PATCH = (
    "diff --git a/lib.py b/lib.py\n--- a/lib.py\n+++ b/lib.py\n@@ -1 +1 @@\n"
    "-    return x\n+    return x + 1\n"
)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Fix f (#3)\n\nIt was off.\n", "Fix f\n\nIt was off."),
        ("fix(lib): f is off\n\nCloses #1, #2.\n", "f is off"),
        ("Fixes #12: f is off", "f is off"),
        (
            "f is off\r\n\r\nText.\r\n\r\nSigned-off-by: A <a@b>\r\nCo-authored-by: B <b@c>\r\n"
            "Change-Id: I12\r\nReviewed-on: x\r\nCc: all\r\n(cherry picked from commit abc)\r\n",
            "f is off\n\nText.",
        ),
        ("f is off\n\nNow it does `return x + 1`.\nf(1) was 1.", "f is off\n\nf(1) was 1."),
        ("f is off\n\nreturn\nx + 1", ""),
        ("Closes #4", ""),
    ],
)
def test_the_message_tells_the_issue(message, text):
    assert statement(message, PATCH) == text


CASEFOLD = (
    "diff --git a/lib.py b/lib.py\n--- a/lib.py\n+++ b/lib.py\n@@ -1 +1 @@\n"
    "-    return left.lower() == right\n+    return left.casefold() == right  # sharp letters\n"
)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Use casefold() instead of lower()\n\nSharp letters differ.", ""),
        ("Fix names. Use casefold.\n\nMore.", "Fix names.\n\nMore."),
        (
            "Names differ\n\nlower() keeps a sharp letter.\nNow casefold() is\nused. So.\n\nEnd.",
            "Names differ\n\nlower() keeps a sharp letter.\nSo.\n\nEnd.",
        ),
        ("Fix names\n\n- one\n- casefold", "Fix names\n\n- one"),
        ("Fix lower() for sharp\nletters", "Fix lower() for sharp\nletters"),
    ],
)
def test_a_sentence_that_names_what_the_fix_brings_is_left_out(message, text):
    assert statement(message, CASEFOLD) == text


def test_a_linked_issue_tells_more_than_the_message():
    issues = {3: "f(1) is 1.\n\nI think it should `return x + 1`.", 4: "The pull request."}
    assert statement("Fix f (#4)\n\nFixes #3", PATCH, issues) == "f(1) is 1."
    assert statement("Fix f (#4)", PATCH, issues) == "The pull request."
    assert statement("Fix f (#5)", PATCH, issues) == "Fix f"


def test_issues_are_read_by_number(tmp_path):
    path = tmp_path / "issues.json"
    path.write_text('{"3": "text"}')
    assert read_issues(path) == {3: "text"}


@pytest.mark.parametrize("text", ["[]", '{"3": 4}', '{"a": "b"}', "{", None])
def test_a_file_that_holds_no_issues_is_an_error(tmp_path, text):
    path = tmp_path / "issues.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=r"issues\.json"):
        read_issues(path)
