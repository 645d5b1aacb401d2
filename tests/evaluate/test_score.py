"""Patches in text form against real tests: what counts, what is passed over, and what is told."""

import pytest

from agent.config import Settings
from agent.evaluate.score import score
from agent.tasks.hide import unified_diff
from agent.tasks.instance import EnvironmentSetup, Instance
from tests.agent import shop
from tests.tasks.samples import NEEDS, shop_task

SETTINGS = Settings(sandbox="bubblewrap", test_timeout=60.0)
PASSING = "def test_first_page(): pass\ndef test_last_page(): pass\n"
HOOK = (
    "import pytest\n\n@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
    "    report = yield\n    report.outcome = 'passed'\n    return report\n"
)


@pytest.fixture
def task(git_repo):
    return shop_task(git_repo(shop.files()))


def added(path, text):
    lines = "".join(f"+{line}\n" for line in text.splitlines())
    count = len(text.splitlines())
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{count} @@\n{lines}"
    )


def rewritten(task, path="tests/test_shop.py"):
    """The hunks that put other tests in the place of the task's own."""
    before = shop.files()[path]
    return unified_diff({path: before}, {path: PASSING.encode()})


def under_another_header(task):
    return rewritten(task).replace(
        "diff --git a/tests/test_shop.py b/tests/test_shop.py", "diff --git a/x.py b/x.py"
    )


def without_header(task):
    return added("x.py", "a = 1") + rewritten(task).partition("\n")[2]


def renamed(task):
    return (
        "diff --git a/tests/test_shop.py b/shop/kept.py\nsimilarity index 100%\n"
        "rename from tests/test_shop.py\nrename to shop/kept.py\n"
    )


TRICKS = {
    "another header": under_another_header,
    "no header": without_header,
    "rename": renamed,
    "tests": rewritten,
    "conftest": lambda _: added("conftest.py", HOOK),
    "plugin": lambda _: added("a.py", HOOK) + added("pytest.toml", "[pytest]\naddopts=['-pa']"),
    "runner": lambda _: added("pytest/__init__.py", "raise SystemExit(0)"),
    "metadata": lambda _: (
        added("a.py", HOOK) + added("a-1.dist-info/entry_points.txt", "[pytest11]\na = a")
    ),
    "shadow": lambda _: added("json.py", "raise SystemExit(0)"),
    "folder": lambda _: added("tests", "a file in the place of the tests"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_no_patch_decides_how_it_is_judged(task, name):
    scored = score(task, TRICKS[name](task), SETTINGS)
    assert scored.resolved is False, scored
    assert scored.fixed == ()


def test_the_fix_counts_and_what_comes_with_it_is_told(task):
    scored = score(task, task.patch + rewritten(task) + added("tests/more.py", "a"), SETTINGS)
    assert scored.resolved
    assert scored.ignored == ("changes a protected file: tests/test_shop.py", "tests/more.py")


def test_a_patch_may_lack_its_last_line_end_and_hold_other_bytes_than_text(task):
    latin = added("shop/latin.py", "# coding: latin-1\nname = 'caf\udce9'")
    scored = score(task, latin + task.patch.rstrip("\n"), SETTINGS)
    assert scored.resolved, scored.reason


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ("Subtract one from the number.", "there is no git diff"),
        (added("a.py", "x = 1\n" * 100_000), "larger than"),
        (added("shop/basket.py/a.py", "x = 1"), "does not apply"),
        (added("shop/basket.py", "x = 1"), "does not apply"),
    ],
)
def test_patches_that_do_not_apply(task, patch, reason):
    scored = score(task, patch, SETTINGS)
    assert (scored.resolved, scored.applies) == (False, False)
    assert reason in scored.reason


def new_function(git_repo):
    """A task whose tests cannot even be collected before its fix."""
    before = {"sums.py": b"def total(prices):\n    return sum(prices)\n"}
    after = {"sums.py": before["sums.py"] + b"\n\ndef least(prices):\n    return min(prices)\n"}
    tests = {"test_sums.py": b"from sums import least\n\n\ndef test_least():\n    least([1])\n"}
    root = git_repo({"sums.py": before["sums.py"], "test_other.py": "def test_other(): pass\n"})
    return Instance(
        instance_id="least",
        repo=str(root),
        base_commit=head_of(root),
        problem_statement="least is lacking",
        patch=unified_diff(before, after),
        test_patch=unified_diff({}, tests),
        FAIL_TO_PASS=["test_sums.py::test_least"],
        PASS_TO_PASS=["test_other.py::test_other"],
        environment_setup=EnvironmentSetup(packages=NEEDS),
    )


def head_of(root):
    return (root / ".git" / (root / ".git/HEAD").read_text().split()[1]).read_text().strip()


def test_a_wrong_patch_for_tests_that_need_the_right_one_is_wrong(git_repo):
    task = new_function(git_repo)
    wrong = score(task, added("other.py", "x = 1"), SETTINGS)
    assert wrong.resolved is False
    assert "1 of 1 failing tests still fail" in wrong.reason
    assert score(task, task.patch, SETTINGS).resolved
    named = task.model_copy(update={"pass_to_pass": ("test_other.py::test_nothing",)})
    lacking = score(named, added("other.py", "x = 1"), SETTINGS)
    assert lacking.resolved is None
    assert lacking.reason == "1 tests of the row do not exist: test_other.py::test_nothing"
