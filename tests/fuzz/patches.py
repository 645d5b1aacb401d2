"""Patches: what is let through names what git would change, and nothing that is protected."""

from __future__ import annotations

from hypothesis import strategies as st

from agent.verify.patch import MAX_PATCH_FILES, split
from agent.verify.protected import is_protected
from tests.fuzz.registry import TEXT, target

NAMES = (
    "src/a.py", "b.py", "src/new.py", "c d.py", "tests/test_a.py", "conftest.py", ".git/config",
    "sub/.GIT/hooks/x", "../out.py", "/etc/passwd", "a//b.py", "./b.py", "", '"b.py"', "b.py\tx",
    "src/é.py", "b.py b/b.py",
)  # fmt: skip
GOOD = ("src/a.py", "b.py", "c d.py", "src/é.py", "src/new.py", "src/other/new.py")
MODES = st.sampled_from(["100644", "100755", "120000", "160000", "040000", ""])
NAME = st.sampled_from(NAMES) | TEXT.map(lambda text: text.replace("\n", ""))
SIDE = st.sampled_from(["a/", "b/", "", "c/", '"a/'])
LINE = st.one_of(
    st.builds("diff --git a/{0} b/{0}".format, NAME),
    st.builds("diff --git a/{} b/{}".format, NAME, NAME),
    st.builds("--- {}{}".format, SIDE, NAME),
    st.builds("+++ {}{}".format, SIDE, NAME),
    st.sampled_from(["--- /dev/null", "+++ /dev/null", "GIT binary patch", "literal 3", "-- "]),
    st.builds("new file mode {}".format, MODES),
    st.builds("deleted file mode {}".format, MODES),
    st.builds("old mode {}".format, MODES),
    st.builds("new mode {}".format, MODES),
    st.builds("rename from {}".format, NAME),
    st.builds("rename to {}".format, NAME),
    st.builds("copy from {}".format, NAME),
    st.builds("copy to {}".format, NAME),
    st.builds("index {}".format, st.sampled_from(["0000000..1111111", "1..2 100644"])),
    st.builds(
        "@@ -{},{} +{},{} @@".format, *(st.integers(min_value=0, max_value=3) for _ in range(4))
    ),
    st.sampled_from(["@@ -1 +1 @@", "@@ -0,0 +1 @@", "-old", "+new", " old", "\\ No newline", ""]),
    TEXT,
)


def change(name: str, old: str = "old", new: str = "new") -> list[str]:
    """The lines of a well-formed change of a file with one line."""
    head = [f"diff --git a/{name} b/{name}", f"--- a/{name}", f"+++ b/{name}"]
    return [*head, "@@ -1 +1 @@", f"-{old}", f"+{new}"]


def addition(name: str) -> list[str]:
    """The lines of a well-formed new file."""
    head = [f"diff --git a/{name} b/{name}", "new file mode 100644", "--- /dev/null"]
    return [*head, f"+++ b/{name}", "@@ -0,0 +1 @@", "+new"]


@st.composite
def diffs(draw: st.DrawFn) -> str:
    """Well-formed parts, some of their lines replaced, left out or followed by others."""
    lines: list[str] = []
    for _ in range(draw(st.integers(min_value=0, max_value=3))):
        part = change if draw(st.booleans()) else addition
        for line in part(draw(st.sampled_from(GOOD) | st.sampled_from(NAMES))):
            kind = draw(st.integers(min_value=0, max_value=29))
            lines += [draw(LINE)] if kind == 0 else [] if kind == 1 else [line]
            lines += [draw(LINE)] if kind == 2 else []
    lines += draw(st.lists(LINE, max_size=2))
    end = draw(st.sampled_from(["\n", "", "\r\n"]))
    return "\n".join(lines) + end


@target(diff=diffs() | TEXT)
def a_patch_is_split(diff: str) -> None:
    """What is allowed stays inside, leaves protected files alone, and reads the same again."""
    parts = split(diff, ("src/golden.*",))
    assert len(parts.allowed) <= MAX_PATCH_FILES
    for part in parts.allowed:
        assert part.path
        assert not part.path.startswith("/")
        assert not {"..", ".", ""} & set(part.path.split("/"))
        assert ".git" not in part.path.lower().split("/")
        assert not is_protected(part.path, ("src/golden.*",))
        assert part.mode in (None, "100644", "100755")
    again = split(parts.diff, ("src/golden.*",))
    assert again.allowed == parts.allowed
    assert (again.findings, again.dropped) == ((), ())
    assert 0 <= parts.size <= parts.diff.count("\n")
