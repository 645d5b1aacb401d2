"""`agent fix` with real weights: a misspelt name that the linter finds."""

import pytest

from policies.resident.client import running, stop
from tests.fix import project
from tests.fix.project import UNDEFINED, fix, stage

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _nothing_stays(private_home):
    yield
    for record in running():
        stop(record)


def test_the_smallest_model_mends_a_name_and_stays_loaded(git_repo, monkeypatch):
    root = git_repo(project.FILES)
    monkeypatch.chdir(root)
    before = (stage(root, UNDEFINED)).read_text()
    check = ("--check", "ruff check --output-format=concise {python}")
    report = fix("qwen2.5-coder-0.5b", "--seed", "0", "--timeout", "800", *check)
    assert report["status"] == "fixed", report["message"]
    assert report["files"] == ["shop/prices.py"]
    assert (root / "shop/prices.py").read_text() != before
    (record,) = running()
    project.git(root, "add", "-u")
    assert fix("qwen2.5-coder-0.5b", *check)["exit_code"] == 0
    assert [other.pid for other in running()] == [record.pid]
