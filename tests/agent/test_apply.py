"""A patch onto the user's tree: all of it or nothing, and what is said is what was done."""

import os
import signal
import subprocess
import threading
import time

import pytest

from agent.apply import Conflict, Delivery, check_commit, deliver, uninterrupted
from agent.repository import capture, open_repository
from agent.status import EnvironmentFailure, Status, UsageError
from agent.verify.patch import split
from agent.verify.verifier import Verdict

FILES = {"a.py": "a = 1\n", "b.sh": "#!/bin/sh\n", "old/c.py": "c = 1\n"}


def git(repo, *arguments):
    command = ["git", "-C", repo, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def task(git_repo):
    """A repository, its capture, and a verdict that changes, adds, removes and marks a file."""
    root = git_repo(FILES)
    work = git_repo(FILES)
    (work / "a.py").write_text("a = 2\n")
    (work / "b.sh").chmod(0o755)
    (work / "old/c.py").unlink()
    (work / "new").mkdir()
    (work / "new/d.py").write_text("d = 1\n")
    git(work, "add", "-A")
    diff = git(work, "diff", "--cached", "--binary", "--no-renames", "--full-index")
    parts = split(diff)
    files = {p.path: None if p.removed else (work / p.path).read_bytes() for p in parts.allowed}
    modes = {p.path: p.mode for p in parts.allowed if p.mode}
    verdict = Verdict(True, diff, files=files, modes=modes)
    repo = open_repository(root)
    yield root, repo, capture(repo), verdict
    repo.close()


def apply(task, **where):
    _, repo, tree, verdict = task
    return deliver(repo, tree, Delivery(**where), Status.VERIFIED, verdict)


def test_changes_additions_removals_and_modes_reach_the_tree(task):
    root = task[0]
    apply(task)
    assert (root / "a.py").read_text() == "a = 2\n"
    assert (root / "new/d.py").read_text() == "d = 1\n"
    assert not (root / "old/c.py").exists()
    assert os.access(root / "b.sh", os.X_OK)
    assert sorted(git(root, "status", "--porcelain", "-uall").split("\n")) == [
        "", " D old/c.py", " M a.py", " M b.sh", "?? new/d.py",
    ]  # fmt: skip


def test_commit_leaves_a_clean_tree_also_with_staged_work_and_a_detached_head(task):
    root = task[0]
    git(root, "checkout", "-q", "--detach")
    (root / "mine.py").write_text("mine = 1\n")
    git(root, "add", "mine.py")
    assert apply(task, commit=True).target.startswith("commit ")
    assert git(root, "status", "--porcelain") == "A  mine.py\n"
    assert "mine.py" not in git(root, "show", "--name-only", "--format=", "HEAD")


@pytest.mark.parametrize("place", ["index.lock", "HEAD.lock"])
def test_a_locked_repository_fails_a_commit_with_everything_as_it_was(task, place):
    root = task[0]
    (root / ".git" / place).write_text("")
    before = git(root, "rev-parse", "HEAD")
    if place == "index.lock":
        assert "index is locked" in apply(task, commit=True).target
        return
    with pytest.raises(EnvironmentFailure, match="git:"):
        apply(task, commit=True)
    assert git(root, "rev-parse", "HEAD") == before
    assert git(root, "status", "--porcelain") == ""


def test_a_head_that_moved_is_a_conflict(task):
    root = task[0]
    git(root, "commit", "-q", "--allow-empty", "-m", "meanwhile")
    for where in ({"commit": True}, {"branch": "fix"}):
        with pytest.raises(Conflict, match="HEAD has moved"):
            apply(task, **where)
    assert git(root, "status", "--porcelain") == ""


def test_a_later_file_in_the_way_leaves_the_earlier_ones_alone(task):
    root = task[0]
    (root / "new").mkdir()
    (root / "new/d.py").mkdir()
    with pytest.raises(Conflict):
        apply(task)
    assert (root / "a.py").read_text() == "a = 1\n"


def test_a_failed_write_is_rolled_back_with_modes_and_folders(task, monkeypatch):
    root = task[0]
    (root / "old/c.py").chmod(0o755)
    from agent import apply as module

    real = module._place

    def full(prepared, target):
        if target.name == "c.py" and prepared is None:
            real(prepared, target)
            raise OSError(28, "No space left on device", str(target))
        real(prepared, target)

    monkeypatch.setattr(module, "_place", full)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        apply(task)
    assert (root / "a.py").read_text() == "a = 1\n"
    assert (root / "old/c.py").stat().st_mode & 0o777 == 0o755
    assert not (root / "new").exists()
    assert [p.name for p in root.rglob(".apprentice-*")] == []


def test_ctrl_c_waits_until_the_patch_is_whole():
    seen = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        seen.append("finished")
    assert seen == ["finished"]


def test_ctrl_c_waits_also_when_another_thread_takes_it():
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    seen = []
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            signal.pthread_kill(other.ident, signal.SIGINT)
            time.sleep(0.1)
            seen.append("finished")
    finally:
        ended.set()
        other.join()
    assert seen == ["finished"]


def test_what_keeps_a_commit_from_being_made_is_said_early(task, monkeypatch):
    root, repo, _, _ = task
    git(root, "branch", "fix/page")
    with pytest.raises(UsageError, match="branch 'fix/page' is in the way of 'fix'"):
        check_commit(repo, "fix")
    with pytest.raises(UsageError, match="not a valid branch name"):
        check_commit(repo, "a..b")
    for key in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.delenv(f"{key}_NAME")
        monkeypatch.delenv(f"{key}_EMAIL")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(root, "config", "user.useConfigOnly", "true")
    with pytest.raises(EnvironmentFailure) as caught:
        check_commit(repo, None)
    assert "user.name" in caught.value.hint
