"""What real git does with a patch that was let through: it changes the files that it names."""

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings

from agent.verify.patch import split
from tests.fuzz.patches import addition, change, diffs

FILES = ("src/a.py", "b.py", "c d.py", "src/é.py", "conftest.py", "tests/test_a.py", "b.py b/b.py")


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    root = tmp_path_factory.mktemp("repo")
    subprocess.run(["git", "init", "-q", root], check=True)
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("old\n")
    subprocess.run(["git", "-C", root, "add", "-A"], check=True)
    return root


def entries(root):
    """Mode and id of what the index holds, by path."""
    command = ["git", "-C", root, "ls-files", "-z", "--stage"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    rows = (row.decode("utf-8", "surrogateescape") for row in listed.split(b"\0") if row)
    return {path: meta for meta, path in (row.split("\t", 1) for row in rows)}


def changes(repo, diff):
    """What git apply changes in the index, which is then set back; and what is in it then."""
    index = repo / ".git" / "index"
    before, saved = entries(repo), index.read_bytes()
    command = ["git", "-C", repo, "apply", "--cached", "--whitespace=nowarn", "-"]
    data = diff.encode("utf-8", "surrogatepass")
    subprocess.run(command, input=data, capture_output=True, check=False)
    after = entries(repo)
    index.write_bytes(saved)
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}, after


@settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(diff=diffs())
def test_git_changes_only_what_is_allowed(repo, diff):
    parts = split(diff)
    if not parts.allowed:
        return
    changed, after = changes(repo, parts.diff)
    assert changed <= {part.path for part in parts.allowed}
    assert all(meta.startswith("100") for meta in after.values())


def test_git_changes_what_is_well_formed(repo):
    diff = "\n".join([*change("src/é.py"), *change("conftest.py"), *addition("c d/new.py"), ""])
    assert changes(repo, split(diff).diff)[0] == {"src/é.py", "c d/new.py"}
    assert changes(repo, diff)[0] == {"src/é.py", "c d/new.py", "conftest.py"}
