"""Which repositories the client of a server may name, and what it is told."""

import json
from pathlib import Path

import pytest

from agent.mcp.answer import answer_of, sendable, structured, told
from agent.mcp.places import choose, client_folders, start_folders
from agent.result import Result
from agent.status import Status, UsageError
from policies.base import Usage
from tests.documents import conforms


@pytest.fixture
def repo(git_repo):
    return git_repo({"a/b.py": ""}).resolve()


def test_a_server_works_where_it_was_started_but_not_everywhere(tmp_path, monkeypatch):
    assert start_folders([], tmp_path) == (tmp_path.resolve(),)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert start_folders([], tmp_path) == start_folders([], Path("/")) == ()
    assert start_folders([tmp_path], Path("/")) == (tmp_path.resolve(),)
    with pytest.raises(UsageError, match="is no folder"):
        start_folders([tmp_path / "none"], tmp_path)
    with pytest.raises(UsageError, match="no folder is open") as wrong:
        choose("", (), None, strict=False)
    assert "--root" in wrong.value.hint


def test_roots_are_local_files(tmp_path):
    odd = tmp_path / "with blank & é"
    uris = [odd.as_uri(), "https://example.org/x", "file://other/host"]
    assert client_folders(uris) == (odd.resolve(),)


def test_the_only_folder_is_meant_when_none_is_named(repo):
    for named in ("", "a", str(repo)):
        assert choose(named, (repo,), None, strict=False) == repo
    assert choose("", (), (repo,), strict=False) == repo
    with pytest.raises(UsageError, match="several folders"):
        choose("", (repo, repo / "a"), None, strict=False)


def test_nothing_outside_is_reached(repo, git_repo, tmp_path):
    other = git_repo({"c.py": ""}).resolve()
    link = repo / "link"
    link.symlink_to(other)
    for named in (str(other), "../" + other.name, "link", "/"):
        with pytest.raises(UsageError, match="is not inside"):
            choose(named, (repo,), None, strict=False)
    with pytest.raises(UsageError, match="is not inside"):
        choose("", (repo / "a",), None, strict=False)
    with pytest.raises(UsageError, match="not in a git repository"):
        choose("", (tmp_path.resolve(),), None, strict=False)


def test_the_users_own_roots_bind_the_client(repo, git_repo):
    other = git_repo({"c.py": ""}).resolve()
    assert choose("", (repo,), (other,), strict=False) == other
    with pytest.raises(UsageError, match="is not inside"):
        choose("", (repo,), (other,), strict=True)


def test_an_answer_can_be_sent_whatever_bytes_a_name_has():
    ended = Result(
        **dict.fromkeys(("attempts", "seconds", "model_seconds", "test_seconds", "exit_code"), 0),
        **dict.fromkeys(("verdict", "applied", "rivals", "votes", "located_by")),
        **dict.fromkeys(("hint", "trajectory", "diff"), ""),
        status=Status.NOT_SOLVED,
        verified=False,
        message="test_\udcff.py fails",
        targets=("test_\udcff.py::test_x",),
        files=(),
        tokens=Usage(),
        tests_before={"a": "passed", "b": "failed", "c": "passed"},
        tests_after={},
        suspects=(),
    )
    answer = answer_of(ended)
    assert answer.tests_before == {"failed": 1, "passed": 2}
    sent = conforms(structured(answer))
    assert sent["targets"] == ["test_?.py::test_x"]
    (sendable(told(answer)) + json.dumps(sent, ensure_ascii=False)).encode()
