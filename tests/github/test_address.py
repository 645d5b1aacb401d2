"""`agent solve --issue-url`: the issue through the server's API, the token to its server alone."""

from __future__ import annotations

import json

import pytest

from agent.github.address import address_of, issue_at
from agent.status import EnvironmentFailure, UsageError
from tests.agent import shop
from tests.github.hosted import READ


def variables(case, **more):
    return {"GITHUB_SERVER_URL": case.memory.url, "GITHUB_API_URL": case.memory.api, **more}


def test_an_issue_is_read(case):
    case.memory.issues[12]["body"] = "shown <!-- hidden -->"
    url = f"{case.memory.url}/octo/shop/issues/12"
    for address in (url, f"{url}#issuecomment-1", f" {url}?x=y "):
        assert issue_at(address, variables(case, GITHUB_TOKEN=READ)).startswith(
            f"{shop.ISSUE}\n\nshown"
        )
    assert "hidden" not in issue_at(url, variables(case))


def test_what_is_not_there(case):
    with pytest.raises(EnvironmentFailure, match=r"issue 99 of octo/shop: .* answers 404"):
        issue_at(f"{case.memory.url}/octo/shop/issues/99", variables(case))
    with pytest.raises(EnvironmentFailure, match="answers 401"):
        issue_at(f"{case.memory.url}/octo/shop/issues/12", variables(case, GH_TOKEN="wrong"))


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/octo/shop/pull/12",
        "https://github.com/octo/shop/issues/new",
        "https://user:pass@github.com/octo/shop/issues/1",
        "http://github.com/octo/shop/issues/1",
        "file:///etc/passwd",
        "https://github.com/octo/shop/../x/issues/1",
        "",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(UsageError, match="no address of an issue"):
        issue_at(url, {})


def test_a_token_goes_to_its_own_server_alone():
    token = {"GITHUB_TOKEN": "secret"}
    mine = {"GITHUB_SERVER_URL": "https://mine.test", **token}
    github = "https://github.com/octo/shop/issues/1"
    api = "https://api.github.com"
    assert address_of(github, token) == ("octo/shop", 1, api, "secret")
    assert address_of(github, mine) == ("octo/shop", 1, api, "")
    other = "https://other.test/octo/shop/issues/1"
    assert address_of(other, token) == ("octo/shop", 1, "https://other.test/api/v3", "")
    own = "https://mine.test/octo/shop/issues/1"
    assert address_of(own, mine) == ("octo/shop", 1, "https://mine.test/api/v3", "secret")


def test_the_command_line_takes_one_issue(tmp_path):
    done = shop.agent("solve", "x", "--issue-url", "https://github.com/o/r/issues/1", "--json")
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (2, "usage")
    done = shop.agent("solve", "--issue-url", "nonsense", "--json")
    assert "no address" in json.loads(done.stdout)["message"]


def test_the_command_line_reads_the_issue_before_all_else(case, tmp_path, monkeypatch):
    for name, value in variables(case, GITHUB_TOKEN=READ).items():
        monkeypatch.setenv(name, value)
    url = f"{case.memory.url}/octo/shop/issues/12"
    done = shop.agent("solve", "--issue-url", url, "--repo", tmp_path, "--json")
    assert "not in a git repository" in json.loads(done.stdout)["message"]
    assert case.memory.asked == ["GET /api/v3/repos/octo/shop/issues/12"]
