"""Held-out tests on a real library: what they catch, and that they stay the same."""

import ast
import dataclasses
import json
from random import Random

import pytest

from agent.config import Settings
from agent.evaluate.check import check
from agent.evaluate.score import score
from agent.status import UsageError
from agent.tasks.environment import with_environment
from agent.tasks.heldout import held_out_files
from agent.tasks.heldout.checks import checks_in, expected_names
from agent.tasks.heldout.generate import held_out_patch
from agent.tasks.heldout.perturb import changed, is_site
from agent.tasks.heldout.settle import Seen, settled
from agent.tasks.heldout.variants import Variant, variants
from agent.tasks.hide import unified_diff
from agent.tasks.instance import EnvironmentSetup, Instance, read_instances, write_instances
from agent.tasks.tree import base_files, capture_of, patched, visible_files
from agent.workspace import make_workspace
from tests.agent.shop import agent
from tests.tasks.samples import NEEDS

LIBRARY = '''\
class Refused(Exception):
    """A price that is none."""


def total(prices, discount=0):
    result = 0
    for price in prices:
        if price < 0:
            raise Refused(price)
        result += price
    return result - discount
'''
TESTS = """\
import pytest

from bills import Refused, total


@pytest.mark.parametrize(("prices", "expected"), [([1, 2, 3], 6), ([10, 20], 30)])
def test_total(prices, expected):
    assert total(prices) == expected


def test_discount():
    assert total([10, 20], 5) == 25


def test_negative():
    with pytest.raises(Refused):
        total([5, -1])


def test_nothing():
    assert total([]) == 0
"""
RIGHT, WRONG = b"        result += price\n", b"        result = price\n"
BY_HEART = b"""\
    known = {(1, 2, 3): 6, (10, 20): 30 - discount}
    if tuple(prices) in known:
        return known[tuple(prices)]
    result = 0
"""
SETTINGS = Settings(sandbox="bubblewrap", test_timeout=60.0)
FIXED = ["--sandbox", "bubblewrap", *(word for need in NEEDS for word in ("--package", need))]
IDS = ["test_total[prices0-6]", "test_total[prices1-30]", "test_discount"]


@pytest.fixture
def repository(git_repo):
    return git_repo({"bills.py": LIBRARY, "test_bills.py": TESTS})


def task_of(root):
    """A bug in the library; its failing tests are not hidden in the base."""
    good = {"bills.py": LIBRARY.encode()}
    bad = {"bills.py": good["bills.py"].replace(RIGHT, WRONG)}
    head = (root / ".git" / (root / ".git/HEAD").read_text().split()[1]).read_text().strip()
    return Instance(
        instance_id="bills",
        repo=str(root),
        base_commit=head,
        problem_statement="total() gives the last price",
        patch=unified_diff(bad, good),
        test_patch="",
        setup_patch=unified_diff(good, bad),
        FAIL_TO_PASS=[f"test_bills.py::{name}" for name in IDS],
        PASS_TO_PASS=["test_bills.py::test_negative", "test_bills.py::test_nothing"],
        environment_setup=EnvironmentSetup(packages=NEEDS),
    )


def held_out(task):
    """The task with held-out tests."""
    own = with_environment(SETTINGS, task.environment_setup)
    workspace = make_workspace(capture_of(task, "visible"), own)
    good = dataclasses.replace(workspace, files=patched(workspace.files, task.patch))
    return task.model_copy(update={"held_out_patch": held_out_patch(good, task)})


@pytest.mark.slow
def test_a_patch_that_knows_the_visible_tests_by_heart_fails_the_held_out_ones(repository):
    plain = task_of(repository)
    task = held_out(plain)
    assert held_out(plain).line == task.line
    (file,) = held_out_files(task)
    assert not {file.path} & {f.path for f in (*visible_files(task), *base_files(task))}
    assert b"def test_total_held_" in file.data
    assert b"def test_nothing(" not in file.data

    gold = score(task, task.patch, SETTINGS)
    assert (gold.resolved, gold.held_out) == (True, True), gold.reason
    assert score(task, "", SETTINGS).held_out is None
    bugged = {"bills.py": LIBRARY.encode().replace(RIGHT, WRONG)}
    cheat = bugged["bills.py"].replace(b"    result = 0\n", BY_HEART)
    by_heart = unified_diff(bugged, {"bills.py": cheat})
    scored = score(task, by_heart, SETTINGS)
    assert set(scored.fixed) == set(task.fail_to_pass)
    assert (scored.resolved, scored.held_out) == (False, False)
    assert "held-out tests: it may know the visible ones by heart" in scored.reason
    assert score(plain, by_heart, SETTINGS).resolved

    held_out_tests = task.held_out_patch
    assert "== " in held_out_tests
    twisted = task.model_copy(update={"held_out_patch": held_out_tests.replace("== ", "== 1 + ")})
    told = check(twisted, SETTINGS)
    assert not told.gold
    assert "the known fix does not solve it: fails" in told.problem


@pytest.mark.slow
def test_the_option_adds_them(repository, tmp_path):
    output = tmp_path / "t.jsonl"
    arguments = ["tasks", "make", repository, "--limit", "1", "--family", "operator", *FIXED]
    result = agent(*arguments, "--held-out", "-o", output, "--json")
    assert result.exit_code == 0, (result.stdout, result.stderr)
    assert json.loads(result.stdout)["held_out"] == 1
    (task,), _ = read_instances(output)
    assert "_held_" in task.held_out_patch


def test_rows_without_keep_their_bytes(repository, tmp_path):
    task = task_of(repository)
    old = task.model_dump(mode="json", by_alias=True, exclude={"held_out_patch"})
    assert task.line == json.dumps(old, ensure_ascii=False, separators=(",", ":"))
    more = task.model_copy(update={"held_out_patch": "diff --git a/x b/x\n"})
    write_instances(tmp_path / "t.jsonl", [more])
    assert read_instances(tmp_path / "t.jsonl") == ([more], [])


def test_a_held_out_patch_that_is_none_is_told(repository):
    row = Instance.model_construct(instance_id="x", held_out_patch="--- a\n+++ b\n@@ nonsense")
    with pytest.raises(UsageError):
        held_out_files(row)


def function(text):
    (node,) = ast.parse(text).body
    return node


def made_from(text, constants=None, failing=()):
    known = {name: ast.parse(value, mode="eval").body for name, value in (constants or {}).items()}
    return [
        ast.unparse(v.function.body)
        for v in variants("", function(text), failing, known, Random(3))
    ]


@pytest.mark.parametrize("text", ["7", "0", "True", "2.5", "'a-b c'", "''", "b'x1'", "[1, 2]"])
def test_other_inputs_are_of_the_same_kind(text):
    node = ast.parse(text, mode="eval").body
    value = ast.literal_eval(node)
    assert is_site(node)
    for seed in range(30):
        other = ast.literal_eval(
            ast.unparse(ast.fix_missing_locations(changed(node, Random(seed))))
        )
        assert type(other) is type(value)
        assert other != value


def test_what_is_expected_is_no_input():
    bodies = made_from("def test_a():\n    wanted = [6]\n    got = f(3)\n    assert got == wanted")
    assert bodies
    assert all("wanted = [6]" in body and "f(3)" not in body for body in bodies)
    assert made_from("def test_a():\n    assert f(x)[0] == 5") == []


def test_rows_and_loops_are_reduced_to_one():
    rows = (
        "@pytest.mark.parametrize('raw,parsed', [('a', 1), ('bc', 2)])\n"
        "def test_a(raw, parsed):\n    assert f(raw) == parsed"
    )
    bodies = made_from(rows, failing=("bc-2",))
    assert bodies
    assert all("parsed = 2\n" in body and "raw = 'bc'" not in body for body in bodies)
    loop = "def test_a():\n    for n in ROWS:\n        assert f(n[0]) == n[1]"
    bodies = made_from(loop, {"ROWS": "[(1, 2), (3, 4)]"})
    assert bodies
    assert all("for " not in body and body.count("n = (") == 1 for body in bodies)


@pytest.mark.parametrize(
    "text",
    [
        "def test_a():\n    yield f(1) == 2",
        "@given(integers())\ndef test_a():\n    assert f(1) == 2",
        "@pytest.mark.parametrize('n', rows())\ndef test_a(n):\n    assert f(n, 1) == 2",
        "@pytest.mark.xfail\ndef test_a():\n    assert f(1) == 2",
    ],
)
def test_what_is_out_of_the_ordinary_is_left_alone(text):
    assert made_from(text) == []


def settle(text, *seen, at=0, error=None):
    node = function(text)
    every = frozenset(range(len(list(checks_in(node.body)))))
    test = settled(Variant("", node, every), Seen(seen, at, error))
    return test and ast.unparse(ast.fix_missing_locations(test)).partition("\n")[2].strip()


def test_tests_expect_what_was_seen():
    equal = "def t():\n    assert f(1) == 2"
    assert settle(equal, [0, "3", "2", False]) == "assert f(1) == 3"
    assert settle(equal, [0, None, "2", False]) is None
    assert (
        settle("def t():\n    assert f(1) == T(2)", [0, None, None, True]) == "assert f(1) == T(2)"
    )
    assert settle(equal, [0, "[0.5]", "2", False]) == "assert f(1) == pytest.approx([0.5])"
    assert settle(equal, [0, "3", "2", False], [0, "4", "2", False]) is None
    assert settle("def t():\n    self.assertIn(1, f(2))", [0, False]) == "assert not 1 in f(2)"
    value = [["json", "JSONDecodeError", False], ["builtins", "ValueError", False]]
    by_accident = [["builtins", "AttributeError", False]]
    assert "with pytest.raises(ValueError):" in settle(equal, error=value)
    assert settle(equal, error=by_accident) is None
    ours = settle(equal, error=[["bills", "Refused", True]])
    assert ours.startswith("from bills import Refused")


def test_blocks_that_raise_expect_what_came_of_them():
    block = "def t():\n    with pytest.raises(E, match='x'):\n        f(1)"
    kinds = [["builtins", "KeyError", False]]
    assert settle(block, [0, "kept", kinds]) == block.partition("\n")[2].strip()
    assert settle(block, [0, "none", None]) == "f(1)"
    assert settle(block, [0, "message", kinds]).startswith("with pytest.raises(E):")
    assert settle(block, [0, "other", kinds]) is None


def test_checks_that_no_change_reaches_expect_nothing():
    node = function("def t():\n    a = f(1)\n    assert a == 2\n    assert f(5) == 6")
    test = settled(
        Variant("", node, frozenset({0})),
        Seen(([0, "3", "2", False], [1, "6", "6", True]), 2, None),
    )
    assert ast.unparse(test).endswith("a = f(1)\n    assert a == 3")
    assert expected_names(node.body) == frozenset()
