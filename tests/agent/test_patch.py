"""A diff taken apart: what may be applied, what is dropped, what is a finding."""

import pytest

from agent.verify.patch import split
from agent.verify.protected import is_protected, with_helpers
from agent.verify.verifier import Verifier
from agent.workspace import Workspace
from tools.sandbox.base import File, Spec
from tools.testing.detect import TestCommand
from tools.testing.results import TestRun

CHANGE = "diff --git a/{p} b/{p}\n--- a/{p}\n+++ b/{p}\n@@ -1 +1 @@\n-a\n+b\n"
NEW = "diff --git a/{p} b/{p}\nnew file mode {m}\n--- /dev/null\n+++ b/{p}\n@@ -0,0 +1 @@\n+b\n"


def test_source_changes_pass_through_unchanged():
    diff = CHANGE.format(p="src/a b.py") + NEW.format(p="src/new.py", m="100644")
    parts = split(diff)
    assert parts.diff == diff
    assert [part.path for part in parts.allowed] == ["src/a b.py", "src/new.py"]
    assert parts.size == 3


def test_new_tests_are_dropped_and_changed_ones_are_findings():
    parts = split(CHANGE.format(p="tests/test_a.py") + NEW.format(p="tests/test_b.py", m="100644"))
    assert parts.allowed == ()
    assert parts.dropped == ("tests/test_b.py",)
    assert parts.findings == ("changes a protected file: tests/test_a.py",)


@pytest.mark.parametrize(
    ("diff", "word"),
    [
        (NEW.format(p="../x.py", m="100644"), "leaves the repository"),
        (NEW.format(p="/etc/passwd", m="100644"), "leaves the repository"),
        (NEW.format(p="sub/.GIT/config", m="100644"), "git's own files"),
        (NEW.format(p=".git ./config", m="100644"), "git's own files"),
        (NEW.format(p=".git../config", m="100644"), "git's own files"),
        (NEW.format(p="GIT~1/config", m="100644"), "git's own files"),
        (NEW.format(p=".git::$INDEX_ALLOCATION/config", m="100644"), "git's own files"),
        (NEW.format(p=".g\u200cit/config", m="100644"), "git's own files"),
        (NEW.format(p="\uff0egit/config", m="100644"), "git's own files"),
        (NEW.format(p="a\\.git\\config", m="100644"), "git's own files"),
        (NEW.format(p="a\\b.py", m="100644"), "characters that deceive"),
        (NEW.format(p="a\x1b[2Kb.py", m="100644"), "characters that deceive"),
        (NEW.format(p="a\u202eyp.b", m="100644"), "characters that deceive"),
        (NEW.format(p="module", m="160000"), "link or a special file"),
        (NEW.format(p="link", m=" +120000 x"), "link or a special file"),
        (CHANGE.format(p="l").replace("--- ", "index ab..cd 120000\n--- ", 1), "a special file"),
        (CHANGE.format(p="l").replace("--- ", "old mode 120000\n--- ", 1), "a special file"),
        ("diff --git a/l b/l\ndeleted file mode 120000\n", "link or a special file"),
        (NEW.format(p="a.pyc", m="100644"), "compiled code"),
        (NEW.format(p="__pycache__/a.cpython-311.pyc", m="100644"), "compiled code"),
        (NEW.format(p="src/a.cpython-311-x86_64-linux-gnu.so", m="100755"), "compiled code"),
        (NEW.format(p="link", m="120000"), "link or a special file"),
        ("".join(NEW.format(p=f"f{n}.py", m="100644") for n in range(51)), "51 files"),
        (NEW.format(p="big.py", m="100644") + "+" + "x" * 600_000 + "\n", "larger than"),
    ],
)
def test_unsafe_patches_are_findings(diff, word):
    parts = split(diff)
    assert parts.allowed == ()
    assert word in parts.findings[0]


def test_the_mode_of_a_file_is_kept_where_the_patch_sets_it():
    plain = CHANGE.format(p="a.py").replace("--- ", "index ab..cd 100644\n--- ", 1)
    assert [part.mode for part in split(plain).allowed] == [None]
    mode = "diff --git a/a.py b/a.py\nold mode 100644\nnew mode 100755\n"
    assert [part.mode for part in split(mode).allowed] == ["100755"]
    added = NEW.format(p="b.py", m="100755").replace("--- ", "index 00..cd\n--- ", 1)
    assert [(part.mode, part.added) for part in split(added).allowed] == [("100755", True)]


def test_quoted_paths_are_unquoted():
    diff = 'diff --git "a/n\\303\\251.py" "b/n\\303\\251.py"\n@@ -1 +1 @@\n-a\n+b\n'
    assert split(diff).allowed[0].path == "né.py"


@pytest.mark.parametrize(
    "path",
    ["tests/data.txt", "conftest.py", "pkg/test_x.py", "pyproject.toml", ".github/workflows/x.yml",
     "sitecustomize.py", "a/b/tests/helper.py", "x.pth"],
)  # fmt: skip
def test_what_decides_the_verdict_is_protected(path):
    assert is_protected(path)


def test_sources_are_not_protected_unless_asked():
    assert not is_protected("src/protest.py")
    assert is_protected("src/golden.py", ["src/golden.*"])


def test_lines_end_at_line_feeds_alone():
    text = NEW.format(p="a.py", m="100644") + '+x\x0c K="[REDACTED:aws]"\n'
    assert "redaction mark" in split(text).findings[0]
    header = CHANGE.format(p="a\u2028b.py")
    assert split(header).allowed[0].path == "a\u2028b.py"
    raw = 'diff --git "a/\u4e2d\\"x.py" "b/\u4e2d\\"x.py"\n@@ -1 +1 @@\n-a\n+b\n'
    assert split(raw).allowed[0].path == '\u4e2d"x.py'


SOURCE = CHANGE.format(p="src/a.py")
PLAIN = "--- a/{p}\n+++ b/{p}\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (SOURCE.replace("+++ b/src/a.py", "+++ b/tests/test_a.py"), "names several files"),
        (SOURCE.replace("--- a/src/a.py", "--- a/tests/test_a.py"), "names several files"),
        (SOURCE.replace("--- a/src/a.py", "--- /dev/null"), "names several files"),
        ("diff --git a/src/a.py b/src/b.py\nrename from src/a.py\nrename to src/b.py\n", "moves"),
        ("diff --git a/a.py b/a.py\ncopy from tests/test_a.py\ncopy to a.py\n", "moves"),
        ("diff --git a/a.py b/a.py\n@@ x\n" + CHANGE[23:].format(p="test_a.py"), "several files"),
        ("diff --git src/a.py src/a.py\nold mode 100644\nnew mode 100755\n", "several files"),
        (CHANGE.format(p="src/./a.py"), "leaves the repository"),
    ],
)
def test_a_part_that_contradicts_its_header_is_never_allowed(part, word):
    for diff in (part, SOURCE + part, part + SOURCE):
        parts = split(diff)
        assert parts.diff == ("" if diff == part else SOURCE)
        assert word in parts.findings[0]


@pytest.mark.parametrize("diff", [SOURCE + PLAIN, PLAIN + SOURCE, SOURCE + "\njunk\n" + PLAIN])
def test_a_headerless_part_hides_behind_no_other(diff):
    parts = split(diff.format(p="tests/test_a.py"))
    assert [part.path for part in parts.allowed] == ["src/a.py"]
    assert "test_a" not in parts.diff
    assert "no header" in parts.findings[0]


def test_removed_and_added_lines_are_no_names():
    removed = "@@ -1,2 +1,2 @@\n-a\n--- a/tests/x.py\n+++ b/tests/x.py\n+b\n"
    diff = f"diff --git a/s.sql b/s.sql\n--- a/s.sql\n+++ b/s.sql\n{removed}"
    parts = split(diff)
    assert (parts.diff, parts.findings) == (diff, ())


def test_plain_diffs_are_taken_by_their_names():
    parts = split(PLAIN.format(p="src/a.py") + PLAIN.format(p="tests/test_a.py"))
    assert parts.diff == SOURCE
    assert parts.findings == ("changes a protected file: tests/test_a.py",)
    new = split("--- /dev/null\t1970\n+++ b/n.py\t2020\n@@ -0,0 +1 @@\n+a\n")
    assert [(part.path, part.added) for part in new.allowed] == [("n.py", True)]


def test_plain_diffs_with_quoted_names_are_not_taken():
    parts = split(PLAIN.replace("a/{p}", '"a/x\\n+++ b/tests/test_a.py"').format(p="x"))
    assert parts.allowed == ()
    assert "no header" in parts.findings[0]


def test_what_is_no_diff_is_refused_and_nothing_is_not():
    assert split("Change line 3.").refused == "there is no git diff in the patch"
    assert split(" \n").refused == ""
    assert "larger than" in split(SOURCE + "x" * 600_000).refused


def test_a_missing_last_line_end_is_mended():
    assert split(SOURCE.rstrip("\n")).diff == SOURCE


@pytest.mark.parametrize(
    "path",
    ["pytest.toml", ".pytest.toml", "x.dist-info/entry_points.txt", "src/x.egg-info/PKG-INFO",
     "pytest.py", "src/pytest/__init__.py", "_pytest/config.py", "src/sitecustomize/__init__.py",
     "a/__pycache__/b.pyc"],
)  # fmt: skip
def test_what_runs_the_tests_is_protected(path):
    assert is_protected(path)
    assert not is_protected("app/pytest.py")
    assert not is_protected("docs/pytest")


@pytest.mark.parametrize(
    "path",
    ["Conftest.py", "PyProject.toml", "Tests/a.py", "conftest.py.", "conftest.py ",
     "\uff43onftest.py", "conf\u200dtest.py", "TESTS ./a.py", "conftest.py::$DATA"],
)  # fmt: skip
def test_other_spellings_are_protected_as_well(path):
    assert is_protected(path)


@pytest.mark.parametrize(
    "path",
    [".gitlab-ci.yml", ".circleci/config.yml", ".husky/pre-commit", ".githooks/pre-push",
     "x.egg-link", "a.egg-info/entry_points.txt", "poetry.lock", "uv.lock", "package-lock.json",
     "GNUmakefile", "jest.config.js", "a/__snapshots__/b.ambr", "app/tests.py", "build.rs",
     ".venv/lib/python3.11/site-packages/pytest.py", ".cargo/config.toml", "python/pytest.py"],
)  # fmt: skip
def test_what_builds_installs_and_starts_is_protected(path):
    assert is_protected(path)


@pytest.mark.parametrize(
    "path",
    ["src/lock.py", "src/specs.py", "hooks/use.py", "a/snapshot.py", "makefile.py", "git.py"],
)
def test_names_that_are_only_alike_are_not(path):
    assert not is_protected(path)
    assert split(CHANGE.format(p=path)).findings == ()


def test_helpers_of_tests_are_protected_and_packages_that_are_called_like_them_are_not():
    for path in ("tests/helpers.py", "pkg/tests/helpers.py", "test/data.txt", "spec/a.py"):
        assert is_protected(path)
    for path in ("django/test/client.py", "numpy/testing/utils.py", "src/api/spec/parser.py"):
        assert not is_protected(path)


def test_what_stands_beside_tests_in_a_folder_called_like_them_is_a_helper():
    paths = ("shop/test/base.py", "shop/test/deep/a.py", "shop/price.py", "shop/more/test/b.py")
    tests = ("shop/test/test_price.py",)
    assert with_helpers(tests, paths) == ("shop/test/base.py", *tests)
    assert with_helpers(["shop/test_price.py"], paths) == ("shop/test_price.py",)


def test_a_patch_without_modes_turns_no_link():
    link = File("src/link.py", b"a", "120000")
    workspace = Workspace((link,), "bubblewrap", Spec(), TestCommand((), "pytest"), 1.0)
    run = TestRun({}, {}, 0, complete=True, seconds=0.0)
    verdict = Verifier(workspace, run, ("t.py::test_a",)).judge(CHANGE.format(p="src/link.py"))
    assert verdict.findings == verdict.reasons == ("changes a link: src/link.py",)
    assert not verdict.verified
