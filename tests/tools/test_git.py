"""git on the host: only blame, and nothing that a repository configures runs."""

import os
import subprocess

import pytest

from tools.git import blame_tool


def git(root, *arguments):
    subprocess.run(["git", "-C", root, *arguments], check=True)


@pytest.fixture
def repo(git_repo):
    return git_repo({"a.py": "a = 1\nb = 2\n", ".gitattributes": "*.py diff=evil filter=evil\n"})


def test_blame_shows_the_host_history(repo):
    (repo / "a.py").write_text("a = 1\nb = 3\n")
    git(repo, "commit", "-qam", "second")
    seen = blame_tool(str(repo)).call(None, {"path": "a.py", "start_line": 2, "end_line": 2})
    assert seen.ok
    assert "tester" in seen.text
    assert "b = 3" in seen.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_blame_takes_the_repository_as_accepted_and_no_other(repo, tmp_path):
    for path in (repo, repo / ".git"):
        os.chown(path, 12345, 12345)
    where = {"path": "a.py", "start_line": 1, "end_line": 1}
    seen = blame_tool(str(repo)).call(None, where)
    assert seen.ok, seen.text
    inner = repo / "inner"
    inner.mkdir()
    seen = blame_tool(str(inner)).call(None, where)
    assert "dubious ownership" in seen.text


@pytest.mark.parametrize(
    ("path", "word"),
    [("gone.py", "no such path"), ("--output=x", "no such path"), ("../x", "outside")],
)
def test_mistakes_are_explained(repo, path, word):
    seen = blame_tool(str(repo)).call(None, {"path": path, "start_line": 1, "end_line": 1})
    assert not seen.ok
    assert word in seen.text
