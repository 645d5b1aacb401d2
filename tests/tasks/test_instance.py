"""Rows of tasks: ours, foreign ones, and what is none."""

import json

import pytest

from agent.status import UsageError
from agent.tasks.instance import (
    EnvironmentSetup,
    Instance,
    project_of,
    read_instances,
    split_of,
    write_instances,
)

ROW = {
    "instance_id": "shop-1.0.operator.0a1b2c3d4e5f",
    "repo": "pypi:shop==1.0",
    "base_commit": "sha256:" + "0" * 64,
    "problem_statement": "page(1) gives the second page",
    "patch": "diff --git a/x b/x\n",
    "test_patch": "",
    "FAIL_TO_PASS": ["tests/test_shop.py::test_page"],
    "PASS_TO_PASS": [],
}


def rows(path, *lines):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return read_instances(path)


def test_a_row_comes_back_as_it_was_written(tmp_path):
    setup = EnvironmentSetup(python="3.11", packages=("pytest==9.2.0",))
    instance = Instance(**ROW, environment_setup=setup, family="operator", licence="MIT")
    write_instances(tmp_path / "tasks.jsonl", [instance])
    assert read_instances(tmp_path / "tasks.jsonl") == ([instance], [])
    assert json.loads(instance.line)["FAIL_TO_PASS"] == ROW["FAIL_TO_PASS"]


def test_a_row_of_swe_bench_is_read(tmp_path):
    foreign = ROW | {
        "instance_id": "psf__requests-2317",
        "repo": "psf/requests",
        "FAIL_TO_PASS": '["test_requests.py::RequestsTestCase::test_x"]',
        "PASS_TO_PASS": "[]",
        "hints_text": "",
        "version": "2.4",
        "environment_setup_commit": "091991be0da19de9108dbe5e3752917fea3d7fdc",
        "environment_setup": "pip install -e .",
        "difficulty": "<15 min fix",
    }
    (instance,), bad = rows(tmp_path / "t.jsonl", foreign)
    assert bad == []
    assert instance.fail_to_pass == ("test_requests.py::RequestsTestCase::test_x",)
    assert instance.environment_setup is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"patch": None}, "patch: Input should be a valid string"),
        ({"FAIL_TO_PASS": []}, "FAIL_TO_PASS: Tuple should have at least 1 item"),
        ({"FAIL_TO_PASS": "[oops"}, "FAIL_TO_PASS: is neither a list nor the JSON text of one"),
        ({"instance_id": "../x"}, "instance_id: String should match pattern"),
    ],
)
def test_a_bad_row_is_told_and_the_others_are_read(tmp_path, change, problem):
    good, bad = rows(tmp_path / "t.jsonl", ROW | change, "", ROW)
    assert [i.instance_id for i in good] == [ROW["instance_id"]]
    assert [row.line for row in bad] == [1]
    assert problem in bad[0].problem


def test_missing_fields_broken_json_and_doubles_are_told(tmp_path):
    lacking = {key: value for key, value in ROW.items() if key != "repo"}
    good, bad = rows(tmp_path / "t.jsonl", lacking, "{", "[]", ROW, ROW)
    assert len(good) == 1
    assert [row.line for row in bad] == [1, 2, 3, 5]
    assert "repo: Field required" in bad[0].problem
    assert "is no JSON" in bad[1].problem
    assert "same instance_id" in bad[3].problem


def test_an_unreadable_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_instances(tmp_path / "none.jsonl")


def test_a_project_has_one_split_whatever_its_version_or_place():
    places = ["pypi:python_slugify==8.0", "pypi:Python.Slugify==9.2.0", "/tmp/python-slugify"]
    places += ["https://github.com/un33k/python-slugify.git", "un33k/python-slugify"]
    assert {project_of(place) for place in places} == {"python-slugify"}
    assert {split_of(place) for place in places} == {"dev"}


def test_splits_have_about_their_shares():
    names = [split_of(f"pypi:project-{number}==1") for number in range(2000)]
    shares = [names.count(name) / len(names) for name in ("train", "dev", "heldout")]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_odd_names_of_projects_make_ids():
    places = ["/x/my proj", "/x/_foo", "/x/.dot", "git@host:repo.git", "git@host:me/repo.git", "/"]
    names = [project_of(place) for place in places]
    assert names == ["my-proj", "foo", "dot", "repo", "repo", "unnamed"]


def test_line_separators_of_unicode_do_not_end_a_row(tmp_path):
    instance = Instance(**ROW | {"problem_statement": "one\u2028two\x85three\u2029"})
    write_instances(tmp_path / "tasks.jsonl", [instance])
    assert read_instances(tmp_path / "tasks.jsonl") == ([instance], [])


def test_rows_that_are_nested_too_deeply_are_told(tmp_path):
    good, bad = rows(tmp_path / "t.jsonl", "[" * 100_000, ROW)
    assert (len(good), len(bad)) == (1, 1)


def test_a_foreign_environment_setup_is_passed_over(tmp_path):
    foreign = ROW | {"environment_setup": {"dockerfile": "x", "python": "3.9"}}
    (instance,), bad = rows(tmp_path / "t.jsonl", foreign)
    assert bad == []
    assert instance.environment_setup == EnvironmentSetup(python="3.9")
