"""The workflow from end to end, as a runner runs it: labels, pull requests, comments, feedback."""

from __future__ import annotations

import json

import pytest

from policies.experience.store import Store
from tests.agent import shop
from tests.github.conftest import closed
from tests.github.hosted import READ, WRITE


def test_a_labelled_issue_becomes_a_draft_pull_request(proposed):
    case, jobs = proposed
    assert [(name, job.failed) for name, job in jobs.items()] == [("solve", ""), ("propose", "")]
    assert jobs["solve"].outputs["propose"] == "true"
    (pull,) = case.memory.pulls
    assert pull["draft"] is True
    assert pull["title"] == f"Fix issue 12: {shop.ISSUE}"
    for part in (
        "Fixes #12",
        "**Verified**",
        "the first page has number 1",
        "+    start = (number - 1) * size",
        "| failed | 2 | 0 |",
        "| passed | 4 | 6 |",
        "completion tokens",
        "/octo/shop/actions/runs/77/artifacts/1000",
        "<!-- apprentice trajectory=",
    ):
        assert part in pull["body"], part
    assert case.memory.comments == []
    assert "Verified fix" in jobs["solve"].summary
    assert pull["html_url"] in jobs["propose"].summary


def test_the_branch_holds_the_fix_alone_on_the_default_branch(proposed):
    case, _ = proposed
    (branch,) = case.branches
    assert branch == case.memory.pulls[0]["head_ref"]
    assert case.git("diff", "--name-only", "main", branch) == "shop/catalogue.py\n"
    assert case.git("rev-parse", f"{branch}^") == case.git("rev-parse", "main")
    assert case.git("log", "-1", "--format=%an %s", branch) == "apprentice-agent Fix issue 12\n"


def test_no_token_is_shown_or_kept(proposed):
    case, jobs = proposed
    assert jobs["solve"].commands == jobs["propose"].commands == []
    for job in jobs.values():
        assert READ not in job.log
        assert WRITE not in job.log
    for _, _, folder in case.hosted.artifacts.values():
        for path in folder.rglob("*"):
            assert WRITE.encode() not in path.read_bytes()
            assert READ.encode() not in path.read_bytes()


def test_the_job_that_runs_the_agent_has_only_read(proposed):
    case, _ = proposed
    asked = [line for line in case.memory.asked if not line.startswith("GET ")]
    assert asked == ["POST /api/v3/repos/octo/shop/pulls"]


def test_the_same_patch_again_finds_its_pull_request(proposed):
    case, jobs = proposed
    inputs, solved = {"model": "m", "install": ""}, jobs["solve"].outputs
    again = case.hosted.run("issues", case.event, inputs, solved=solved)
    assert again["propose"].failed == ""
    assert jobs["propose"].summary == again["propose"].summary
    assert len(case.memory.pulls) == len(case.branches) == 1


def test_what_is_not_solved_is_said_on_the_issue(case):
    cheat = shop.edit("(number - 1) * size", "    import pytest\n")
    jobs = case.labelled(case.script([shop.PLAN, cheat, {"text": "?", "repeat": True}]))
    assert [job.failed for job in jobs.values()] == ["", ""]
    assert case.memory.pulls == case.branches == []
    (comment,) = case.memory.comments
    assert comment["issue"] == 12
    assert "opens no pull request" in comment["body"]
    assert "not solved: 2 attempts failed" in comment["body"]
    assert "a rejected attempt: imports the test framework (pytest)" in comment["body"]


def test_an_environment_that_fails_is_red_and_said(case):
    jobs = case.good(**{"test-command": "no-such-runner"})
    assert jobs["solve"].failed == "Solve"
    assert "opens no pull request" in case.memory.comments[0]["body"]


def test_a_job_that_fails_before_the_agent_starts_is_said(case):
    jobs = case.good(install="exit 3")
    assert {name: job.failed for name, job in jobs.items()} == {
        "solve": "Environment of the tests",
        "propose": "",
    }
    assert "ended without a result" in case.memory.comments[0]["body"]


def test_a_run_that_cannot_begin_is_red_and_said(new_case):
    case = new_case({"notes.txt": b"no code, no tests"})
    jobs = case.good()
    assert {name: job.failed for name, job in jobs.items()} == {"solve": "Solve", "propose": ""}
    assert "no tests were found" in jobs["solve"].log
    assert "no tests were found" in jobs["solve"].summary
    assert "ended without a result" in case.memory.comments[0]["body"]


NOTHING = b"from shop.basket import Basket\n\ndef test_nothing():\n    assert Basket\n"
REPRODUCTION = (
    "create_file\npath: tests/test_reproduction.py\n```python\n"
    "from shop.catalogue import page\n\ndef test_it():\n    assert page([1, 2], 1, 1) == [1]\n```"
)


@pytest.mark.slow
def test_a_fix_that_rests_on_the_models_own_test_needs_leave(new_case):
    case = new_case({**shop.files(), "tests/test_shop.py": NOTHING})
    replies = [REPRODUCTION, shop.PLAN, shop.GOOD]
    case.labelled(case.script(replies))
    assert case.memory.pulls == []
    assert "written by the policy itself" in case.memory.comments[0]["body"]
    case.labelled(case.script(replies), **{"unverified": True, "new-tests": True})
    (pull,) = case.memory.pulls
    assert "(not verified)" in pull["title"]
    assert "**Not verified**" in pull["body"]
    (branch,) = case.branches
    changed = case.git("diff", "--name-only", "main", branch).split()
    assert changed == ["shop/catalogue.py", "tests/test_reproduction.py"]
    assert "def test_it" in case.git("show", f"{branch}:tests/test_reproduction.py")


@pytest.mark.parametrize(("merged", "outcome"), [(True, "merged"), (False, "closed")])
def test_what_becomes_of_the_pull_request_flows_back(proposed, merged, outcome):
    case, _ = proposed
    (pull,) = case.memory.pulls
    jobs = case.hosted.run("pull_request", closed(pull, merged=merged))
    assert {name: job.failed for name, job in jobs.items()} == {"feedback": ""}
    name, _, folder = list(case.hosted.artifacts.values())[-1]
    assert name == "apprentice-experience"
    done = shop.agent("experience", "import", folder / "experience.db", "--json")
    (trajectory,) = json.loads(done.stdout)["added"]
    assert trajectory in pull["body"]
    with Store.open() as store:
        events = list(store.events(trajectory))
        assert store.status(trajectory) == "verified"
    assert (events[-1].kind, events[-1].outcome) == ("feedback", outcome)
    assert events[-1].link.endswith(f"/octo/shop/pull/{pull['number']}")


def test_feedback_without_the_artifact_is_no_failure(proposed):
    case, _ = proposed
    (pull,) = case.memory.pulls
    late = {**pull, "body": pull["body"].replace("run=77", "run=66")}
    jobs = case.hosted.run("pull_request", closed(late, merged=True))
    assert jobs["feedback"].failed == ""
