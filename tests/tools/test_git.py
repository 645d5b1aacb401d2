"""git on the host: only blame, and nothing that a repository configures runs."""

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


@pytest.mark.parametrize(
    ("path", "word"),
    [("gone.py", "no such path"), ("--output=x", "no such path"), ("../x", "outside")],
)
def test_mistakes_are_explained(repo, path, word):
    seen = blame_tool(str(repo)).call(None, {"path": path, "start_line": 1, "end_line": 1})
    assert not seen.ok
    assert word in seen.text
