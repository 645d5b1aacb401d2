"""What the measurement of learning practises on was not shown before."""

import pytest

from agent.tasks.instance import Instance
from benchmarks.learning.first_result import difference, informative, unseen


def task(name, wrong, right, line=2, path="a.py"):
    patch = (
        f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
        f"@@ -{line - 1},3 +{line - 1},3 @@\n above\n-{wrong}\n+{right}\n below\n"
    )
    fields = {"repo": "pypi:a==1", "base_commit": "c", "problem_statement": "p", "patch": patch}
    tests = {"FAIL_TO_PASS": ["t"], "PASS_TO_PASS": [], "test_patch": ""}
    return Instance(instance_id=name, **fields, **tests)


def test_another_bug_of_a_line_that_was_shown_is_left_out():
    shown = [task("shown", "x = 2", "x = 1")]
    practice = [
        task("same-line", "x = 3", "x = 1"),
        task("other-line", "x = 3", "x = 1", line=9),
        task("other-file", "x = 3", "x = 1", path="b.py"),
    ]
    assert unseen(practice, shown) == ["other-line", "other-file"]
    with pytest.raises(SystemExit, match="practise"):
        unseen(practice[:1], shown)


def test_a_round_takes_what_is_solved_about_half_the_time():
    rates = {"never": 0.0, "always": 1.0, "half": 0.5, "often": 2 / 3}
    assert informative(rates, 2, turn=1) == ["half", "often"]
    assert set(informative(rates, 9, turn=2)) == set(rates)


def test_the_difference_is_over_tasks_and_its_interval_holds_it():
    before = {"a": (8, 4), "b": (8, 0), "c": (4, 0), "unscored": (0, 0)}
    after = {"a": (8, 4), "b": (8, 6), "c": (8, 0), "unscored": (8, 8), "new": (8, 8)}
    mean, low, high = difference(after, before)
    assert mean == 0.25
    assert (low, high) == (0.0, 0.75)
