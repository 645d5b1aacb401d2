from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tools.base import ToolError
from tools.match import replace_once

TEXT = "def f(a):\n    if a:\n        return 1\n    return 2\n\n\ndef g(a):\n    return f(a) + 17\n"


def refused(text: str, old: str, new: str) -> str:
    with pytest.raises(ToolError) as caught:
        replace_once(text, old, new)
    return str(caught.value)


def test_exact() -> None:
    assert replace_once(TEXT, "return 1", "return 3").text == TEXT.replace("return 1", "return 3")


def test_shifted() -> None:
    done = replace_once(TEXT, "if a:  \n    return 1\nreturn 2", "while a:\n    a -= 1\n\nreturn 2")
    assert done.how == "ignoring white space"
    assert "def f(a):\n    while a:\n        a -= 1\n\n    return 2\n" in done.text
    done = replace_once("a:\n  b\n", "\n        a:\n          b\n", "        c:\n          d\n")
    assert done.text == "c:\n  d\n"


def test_alike() -> None:
    done = replace_once(TEXT, "def g(a):\n    return f(a) + 71", "def g(a):\n    return 0")
    assert done.text.endswith("def g(a):\n    return 0\n")
    assert "alike" in done.how


def test_refusals() -> None:
    assert "empty" in refused(TEXT, " \n", "x")
    assert "identical" in refused(TEXT, "return 1", "return 1")
    assert "3 places (lines 3, 4, 8)" in refused(TEXT, "return", "x")
    assert "not in the file" in refused(TEXT, "something else entirely, far away", "x")
    nearest = refused(TEXT, "def g(b, c):\n    return h(b) - 3\n", "x")
    assert "8:     return f(a) + 17" in nearest
    twice = "    total = one + two + three\n" * 2
    assert "2 places" in refused(twice, "total = one + two + thre", "x")


def test_places_that_overlap_are_two_places():
    assert "2 places (lines 2, 3)" in refused("\n=\n=\n=", "=\n=", "NEW")


LINES = st.lists(st.text("abc =()\t", max_size=8), min_size=1, max_size=12)


@given(LINES, st.data())
def test_only_the_chosen_lines_change(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, len(lines)))
    old = "\n".join(lines[start:end])
    assume(old.strip() and text.find(old) == text.rfind(old))
    assert replace_once(text, old, "NEW").text == "\n".join([*lines[:start], "NEW", *lines[end:]])


@given(LINES, st.integers(0, 3))
def test_shift_is_kept(lines: list[str], shift: int) -> None:
    block = [f"line{i} {line}".rstrip() for i, line in enumerate(lines)]
    margin = "    " * shift
    text = "\n".join(["head", *(margin + line for line in block), "tail"])
    done = replace_once(text, "\n".join(f"{line}  " for line in block), "\n".join(["new", *block]))
    assert done.text == "\n".join(["head", margin + "new", *(margin + b for b in block), "tail"])
