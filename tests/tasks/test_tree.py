"""The trees of a task, put together from patches by real git."""

import pytest

from agent.status import UsageError
from agent.tasks.hide import unified_diff
from agent.tasks.instance import Instance
from agent.tasks.tree import base_files, capture_of, patched, visible_files
from tools.sandbox.base import File

GOOD, BAD = b"def one():\n    return 1\n", b"def one():\n    return 2\n"
TEST = b"from one import one\n\n\ndef test_one():\n    assert one() == 1\n"


@pytest.fixture
def instance(git_repo):
    root = git_repo({"one.py": GOOD, "test_one.py": TEST, "README": "one"})
    good, bad = {"one.py": GOOD, "test_one.py": TEST}, {"one.py": BAD, "test_one.py": None}
    return Instance(
        instance_id="one",
        repo=str(root),
        base_commit="HEAD",
        problem_statement="one() returns 2",
        patch=unified_diff({"one.py": BAD}, {"one.py": GOOD}),
        test_patch=unified_diff({"test_one.py": None}, {"test_one.py": TEST}),
        setup_patch=unified_diff(good, bad),
        FAIL_TO_PASS=["test_one.py::test_one"],
        PASS_TO_PASS=[],
    )


def contents(files):
    return {file.path: file.data for file in files}


def test_the_patches_lead_from_the_base_back_to_the_source(instance):
    base = base_files(instance)
    assert contents(base) == {"README": b"one", "one.py": BAD}
    visible = visible_files(instance)
    assert contents(visible) == {"README": b"one", "one.py": BAD, "test_one.py": TEST}
    assert contents(patched(visible, instance.patch))["one.py"] == GOOD


def test_the_variants_differ_in_the_failing_tests(instance):
    assert contents(capture_of(instance, "issue").files).keys() == {"README", "one.py"}
    assert "test_one.py" in contents(capture_of(instance, "visible").files)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "does not apply"),
        ("--- a/x\n+++ b/x\n@@ oops @@\n", "does not apply|cannot be read"),
        (
            "diff --git a/../../up b/../../up\nnew file mode 100644\n--- /dev/null\n"
            "+++ b/../../up\n@@ -0,0 +1 @@\n+x\n",
            "does not apply",
        ),
        ("--- /etc/hostname\n+++ b/new\n@@ -0,0 +1 @@\n+hi\n", "no path in the repository"),
        ("--- a/../../etc/hostname\n+++ b/n\n@@ -0,0 +1 @@\n+h\n", "no path in the repository"),
        ("--- a/y\n+++ b/y\n@@ -1 +1 @@\n-y\n+\ud800\n", "cannot be read"),
    ],
)
def test_a_patch_that_does_not_apply_is_told(patch, message):
    with pytest.raises(UsageError, match=message):
        patched([File("y", b"y\n")], patch)


def test_links_and_modes_survive_a_patch():
    files = [File("link", b"y", "120000"), File("y", b"y\n", "100755")]
    patch = unified_diff({"y": b"y\n"}, {"y": b"z\n"})
    assert patched(files, patch) == (files[0], File("y", b"z\n", "100755"))


def test_a_patch_does_not_write_through_a_link():
    patch = (
        "diff --git a/out/x b/out/x\nnew file mode 100644\n--- /dev/null\n+++ b/out/x\n"
        "@@ -0,0 +1 @@\n+x\n"
    )
    link = (
        "diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n"
        "@@ -0,0 +1 @@\n+/tmp\n\\ No newline at end of file\n"
    )
    with pytest.raises(UsageError):
        patched([], link + patch)
