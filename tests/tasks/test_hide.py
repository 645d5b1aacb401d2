from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tasks import hide

SOURCE = b'''\
"""Tests."""
import pytest


# A comment of the section.

# What it is about,
# in two lines.
@pytest.mark.parametrize(
    "x", [1, 2]
)
def test_gone(x):
    assert x

    # still in the function


def test_stays():
    def test_gone():
        pass
    test_gone()


class TestA:
    """Documented."""

    value = 1

    def test_one(self): pass

    # about two
    async def test_two(self):
        text = """
# not a comment
"""

    class TestInner:
        def test_deep(self):
            pass

    def helper(self):
        return 1


if True:
    def test_branch():
        pass
else:
    x = 1
'''


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        (
            ["test_gone"],
            b"\n# What it is about,\n# in two lines.\n@pytest.mark.parametrize(\n"
            b'    "x", [1, 2]\n)\ndef test_gone(x):\n    assert x\n\n    # still in the function\n',
        ),
        (["TestA.test_one"], b"\n    def test_one(self): pass\n"),
        (
            ["TestA.test_two"],
            b"\n    # about two\n    async def test_two(self):\n"
            b'        text = """\n# not a comment\n"""\n',
        ),
        (
            ["TestA.TestInner.test_deep"],
            b"\n    class TestInner:\n        def test_deep(self):\n            pass\n",
        ),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_only_the_lines_of_the_test_go(names, gone, end):
    source, gone = SOURCE.replace(b"\n", end), gone.replace(b"\n", end)
    assert source.count(gone) == 1
    assert hide.hide_tests(source, names) == source.replace(gone, b"")


@pytest.mark.parametrize("extra", [b"", b"\xef\xbb\xbf", b"\x0c\n"])
def test_a_block_that_would_be_empty_keeps_a_pass(extra):
    source = extra + b"if 1:\n    def test_a():\n        pass\nelse:\n    x = 1\n"
    expected = extra + b"if 1:\n    pass\nelse:\n    x = 1\n"
    assert hide.hide_tests(source, ["test_a"]) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"class T:\n    def test_a(self): pass\n", b""),
        (b"class T:\n    '''Text.'''\n    def test_a(self): pass\nx = 1\n", b"x = 1\n"),
        (
            b"class T:\n    def test_a(self): pass\nclass U(T): pass\n",
            b"class T:\n    pass\nclass U(T): pass\n",
        ),
        (
            b"class T:\n    '''Text.'''\n    def test_a(self): pass\nclass U(T): pass\n",
            b"class T:\n    '''Text.'''\nclass U(T): pass\n",
        ),
        (
            b"class T:\n    def setup(self): pass\n    def test_a(self): pass\n",
            b"class T:\n    def setup(self): pass\n",
        ),
        (
            b"class T:\n    class V:\n        def test_a(self): pass\n    def test_a(self): pass\n",
            b"class T:\n    class V:\n        def test_a(self): pass\n",
        ),
        (b"def test_a(): pass\ndef test_a(): pass", b""),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\ndef test_a(): pass\n", None),
    ],
)
def test_what_is_left_of_the_class(source, expected):
    expected = source[: source.index(b"def")] if expected is None else expected
    name = "test_a" if source.startswith((b"def", b"#")) else "T.test_a"
    assert hide.hide_tests(source, [name]) == expected


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (b"class T(Base):\n    x = 1\n", "T.test_a"),
        (b"test_a = make()\n", "test_a"),
        (b"class test_a: pass\n", "test_a"),
        (b"def test_a():\n  broken(\n", "test_a"),
        (b"def test_a():\r    pass\r", "test_a"),
        (b"# coding: nonsense\ndef test_a(): pass\n", "test_a"),
        (b"x = '\xff'\ndef test_a(): pass\n", "test_a"),
    ],
)
def test_what_is_not_defined_there_cannot_be_hidden(source, name):
    assert hide.hide_tests(source, [name]) is None


def test_all_the_names_have_to_be_there():
    assert hide.hide_tests(SOURCE, ["test_gone", "test_else"]) is None
    assert hide.hide_tests(SOURCE, []) == SOURCE


@pytest.mark.parametrize(
    ("test", "place"),
    [
        ("tests/test_a.py::test_x", ("tests/test_a.py", "test_x")),
        ("test_a.py::TestB::TestC::test_x[a::b[1]-c]", ("test_a.py", "TestB.TestC.test_x")),
        ("test_a.py::test_x[<session>]", ("test_a.py", "test_x")),
        ("pkg/mod.py::pkg.mod.f", None),
        ("docs/guide.rst::guide.rst", None),
        ("test_a.py (collection)", None),
        ("test_a.py::TestB (collection)", None),
        ("<session>", None),
        ("<command>", None),
    ],
)
def test_where_a_test_is(test, place):
    assert hide.test_place(test) == place


def applied(folder: Path, before: dict[str, bytes | None], patch: str) -> dict[str, bytes]:
    """What the real git makes of the files."""
    subprocess.run(["git", "init", "-q", folder], check=True)
    for path, data in before.items():
        if data is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    command = ["git", "-c", "core.autocrlf=false", "-C", folder, "apply", "--whitespace=nowarn"]
    if patch:
        subprocess.run([*command, "-"], input=patch.encode(), check=True)
    files = [p for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_git_applies_each_kind_of_change(tmp_path):
    before = {
        "changed.py": b"a\nb\nc",
        "dos.txt": b"a\r\nb\r\n",
        "gone.py": b"x\n",
        "emptied": b"x",
        "gone_empty": b"",
        "same": b"same\n",
        "a b/with space.py": b"1\n",
        'odd"\\\t\x01\x7f.py': b"1\n",
        "über.py": b"1\n",
        "filled": b"",
        "breaks": "a\x0cb\x85c\u2028d\r\ne\n".encode(),
    }
    after = {
        "changed.py": b"a\nB\nc\n",
        "dos.txt": b"a\r\nB\r\nc\n",
        "gone.py": None,
        "emptied": b"",
        "gone_empty": None,
        "same": b"same\n",
        "a b/with space.py": b"2\n",
        'odd"\\\t\x01\x7f.py': b"2\n",
        "über.py": b"2\n",
        "filled": b"--- a\n+++ b\n@@ -1 +1 @@\n",
        "breaks": "a\x0cb\x85c\u2028D\r\ne\n".encode(),
        "new/file.py": b"new",
        "new/empty": b"",
    }
    patch = hide.unified_diff(before, after)
    left = {path: data for path, data in after.items() if data is not None}
    assert applied(tmp_path / "there", before, patch) == left
    back = hide.unified_diff(after, before)
    assert applied(tmp_path / "back", after, back) == before


def test_a_patch_reads_like_gits():
    assert hide.unified_diff({"a": b"1\n2"}, {"a": b"1\n3"}) == (
        "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n 1\n"
        "-2\n\\ No newline at end of file\n+3\n\\ No newline at end of file\n"
    )
    assert hide.unified_diff({"a": b"1"}, {"a": b"1"}) == ""


@pytest.mark.parametrize("data", [b"\xff\n", b"a\0b\n"])
def test_what_is_no_text_has_no_patch(data):
    with pytest.raises(ValueError, match=r"a\.bin is not text"):
        hide.unified_diff({}, {"a.bin": data})


LINES = st.lists(st.sampled_from(["a\n", "b\n", "\n", " \n", "é\r\n", "-\n", "\\\n"]), max_size=30)


@given(LINES, LINES, st.sampled_from(["", "end"]), st.sampled_from(["", "end"]))
def test_git_applies_any_edit(tmp_path_factory, old, new, old_end, new_end):
    before = {"f": ("".join(old) + old_end).encode()}
    after = {"f": ("".join(new) + new_end).encode()}
    patch = hide.unified_diff(before, after)
    assert applied(tmp_path_factory.mktemp("edit"), before, patch) == after
