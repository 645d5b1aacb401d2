"""A diff taken apart: what may be applied, what is dropped, what is a finding."""

import pytest

from agent.verify.patch import split
from agent.verify.protected import is_protected

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
        (NEW.format(p="link", m="120000"), "link or a special file"),
        ("".join(NEW.format(p=f"f{n}.py", m="100644") for n in range(51)), "51 files"),
        (NEW.format(p="big.py", m="100644") + "+" + "x" * 600_000 + "\n", "larger than"),
    ],
)
def test_unsafe_patches_are_findings(diff, word):
    parts = split(diff)
    assert parts.allowed == ()
    assert word in parts.findings[0]


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
