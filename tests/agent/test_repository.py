"""The user's repository as it is captured."""

import os
import subprocess

import pytest

from agent.repository import capture, only_run, open_repository
from agent.status import EnvironmentFailure, UsageError


def test_uncommitted_work_is_part_of_the_task(git_repo):
    repo = git_repo({"a.py": "x = 1\n", "b.py": "y = 1\n", ".gitignore": "*.log\n"})
    (repo / "a.py").write_text("x = 2\n")
    (repo / "b.py").unlink()
    (repo / "new.py").write_text("z = 1\n")
    (repo / "debug.log").write_text("no")
    tree = capture(open_repository(repo))
    assert {f.path: f.data for f in tree.files} == {
        "a.py": b"x = 2\n", "new.py": b"z = 1\n", ".gitignore": b"*.log\n",
    }  # fmt: skip
    assert tree.dirty


def test_a_clean_tree_is_clean_with_modes_links_and_bytes_kept(git_repo):
    repo = git_repo({"run.sh": "#!/bin/sh\n", "data.bin": b"\xff\x00\r\n"}, commit=False)
    (repo / "run.sh").chmod(0o755)
    os.symlink("run.sh", repo / "link")
    subprocess.run(["git", "-C", repo, "add", "-A"], check=True)
    subprocess.run(["git", "-C", repo, "commit", "-qm", "x"], check=True)
    tree = capture(open_repository(repo))
    assert not tree.dirty
    assert [(f.path, f.mode) for f in tree.files] == [
        ("data.bin", "100644"), ("link", "120000"), ("run.sh", "100755"),
    ]  # fmt: skip
    assert tree.files[1].data == b"run.sh"


def test_what_is_no_repository_to_work_on_is_refused(tmp_path, git_repo):
    with pytest.raises(UsageError, match="not in a git repository"):
        open_repository(tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path / "empty"], check=True)
    with pytest.raises(UsageError, match="no commits yet"):
        open_repository(tmp_path / "empty")
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "bare"], check=True)
    with pytest.raises(UsageError, match="bare repository"):
        open_repository(tmp_path / "bare")


def test_submodules_are_refused_by_name(git_repo, tmp_path):
    inner, outer = git_repo({"a": "a"}), git_repo({"b": "b"})
    command = ["git", "-C", outer, "-c", "protocol.file.allow=always"]
    subprocess.run([*command, "submodule", "--quiet", "add", inner, "lib"], check=True)
    with pytest.raises(UsageError, match="submodules are not supported: lib"):
        capture(open_repository(outer))


def test_one_run_at_a_time(tmp_path):
    with (
        only_run(tmp_path),
        pytest.raises(EnvironmentFailure, match=f"process {os.getpid()}"),
        only_run(tmp_path),
    ):
        pass
    with only_run(tmp_path):
        pass
