"""Snapshots, diffs and patches: byte-exact, and deaf to what the repository says about git."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import FILES, Opener
from tools.sandbox.base import File, PatchError, Sandbox, SandboxError

CHANGES = {
    "a.py": b"print(1)\nprint('two')\nprint(3)\n",
    "crlf.txt": b"one\r\n2\r\nthree\r\n",
    "noeol.txt": b"still no newline at the end",
    "latin.txt": b"th\xe9 \xff\xfe\nplain\n",
    "data.bin": bytes(range(255, -1, -1)) * 4,
    "kept.log": b"changed\n",
    "new/file.txt": b"new\r\nwith\nmixed",
    "new/empty.txt": b"",
    "new/blob.bin": b"\0\1\2\xff" * 100,
    'odd "name"\t\\.txt': b"odd\n",
}


def change(sandbox: Sandbox) -> None:
    for path, data in CHANGES.items():
        sandbox.write(path, data)
    sandbox.remove("Ünï cödé.txt")
    script = "chmod +x a.py; ln -s src/run.sh new/link; ln -sf crlf.txt link; echo x > some.log"
    assert sandbox.run(["sh", "-c", script]).exit_code == 0


STATE = """
import hashlib, os
for folder, folders, files in os.walk("."):
    folders.sort()
    folders[:] = [name for name in folders if (folder, name) != (".", ".git")]
    for name in sorted(files + [name for name in folders if os.path.islink(name)]):
        path = os.path.join(folder, name)
        if os.path.islink(path):
            print(ascii(path), os.readlink(path))
        else:
            data = open(path, "rb").read()
            print(ascii(path), oct(os.stat(path).st_mode), hashlib.sha1(data).hexdigest())
"""


def state(sandbox: Sandbox) -> str:
    result = sandbox.run([sandbox.python, "-I", "-S", "-c", STATE])
    assert result.exit_code == 0, result.stderr
    return result.stdout.decode()


def test_no_change_is_an_empty_diff(sandbox: Sandbox) -> None:
    assert sandbox.diff() == ""
    sandbox.run(["sh", "-c", "touch a.py; mkdir -p build; echo x > build/y; echo z > z.log"])
    assert sandbox.diff() == ""
    sandbox.apply("")


def test_diff_applies_elsewhere_byte_for_byte(opener: Opener) -> None:
    one, other = opener(), opener()
    change(one)
    patch = one.diff()
    one.remove("some.log")
    other.apply(patch)
    assert state(one) == state(other)
    assert other.diff() == patch
    for path, data in CHANGES.items():
        assert other.read(path) == data


def test_snapshots_and_restore(sandbox: Sandbox) -> None:
    before = state(sandbox)
    first = sandbox.snapshot()
    change(sandbox)
    sandbox.remove("some.log")
    middle = state(sandbox)
    second = sandbox.snapshot()
    assert sandbox.diff(second) == ""
    script = (
        "rm -rf src a.py new; mkdir a.py; echo x > a.py/x; mkdir -p build/deep; "
        "touch build/deep/y; mkdir -m 000 closed; git init -q nested; touch nested/z; "
        "mkfifo pipe; rm -rf .git"
    )
    sandbox.run(["sh", "-c", script])
    assert "new file" in sandbox.diff(second)
    sandbox.restore(second)
    assert state(sandbox) == middle
    assert sandbox.diff(second) == ""
    assert sandbox.diff(first) == sandbox.diff() != ""
    sandbox.restore(first)
    assert state(sandbox) == before
    assert sandbox.run(["git", "status", "--short", "--ignored"]).stdout.count(b"?? ") == 0
    assert not {b"closed", b"nested", b"pipe", b"build"} & set(sandbox.run(["ls"]).stdout.split())
    assert sandbox.run(["git", "rev-parse", "HEAD"]).exit_code == 0
    with pytest.raises(SandboxError):
        sandbox.restore("0" * 40)


def test_changes_within_one_clock_tick_are_seen(sandbox: Sandbox) -> None:
    for i in range(20):
        sandbox.write("a.py", b"%03d\n" % i)
        assert f"+{i:03d}\n" in sandbox.diff()


def test_nested_repositories_are_plain_folders(sandbox: Sandbox) -> None:
    script = "git init -q sub; cd sub; echo x > x; git add x; git commit -qm sub"
    sandbox.run(["sh", "-c", script])
    patch = sandbox.diff()
    assert "b/sub/x" in patch
    assert "160000" not in patch


GOOD = """diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,3 +1,3 @@
 print(1)
-print(2)
+print('two')
 print(3)
"""
BAD = """diff --git a/crlf.txt b/crlf.txt
--- a/crlf.txt
+++ b/crlf.txt
@@ -1,3 +1,3 @@
 one
-missing
+two
 three
"""


def test_apply(sandbox: Sandbox) -> None:
    sandbox.apply(GOOD)
    assert sandbox.read("a.py") == CHANGES["a.py"]
    with pytest.raises(PatchError):
        sandbox.apply(GOOD)


def test_apply_is_all_or_nothing(sandbox: Sandbox) -> None:
    before = state(sandbox)
    for patch in (GOOD + BAD, BAD, "rubbish", GOOD.replace("a.py", "missing.py")):
        with pytest.raises(PatchError):
            sandbox.apply(patch)
        assert state(sandbox) == before


def new_file(path: str, mode: str = "100644") -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        "@@ -0,0 +1 @@\n+x\n"
    )


def test_patches_stay_in_the_workspace(sandbox: Sandbox) -> None:
    sandbox.run(["sh", "-c", "ln -s /tmp out; echo mine > some.log"])
    before = state(sandbox)
    for path in ("../x", "/tmp/x", ".git/hooks/x", "out/x", "link/x", "some.log", "src"):
        with pytest.raises(PatchError):
            sandbox.apply(new_file(path))
        assert state(sandbox) == before, path
    assert sandbox.run(["ls", "/tmp/x", "/x"]).stdout == b""


def test_apply_that_does_not_fit_on_the_disk(sandbox: Sandbox) -> None:
    fill = "for i in 1 2 3 4 5 6 7; do head -c 10000000 /dev/zero > $i.log; done; true"
    sandbox.run(["sh", "-c", fill])
    with pytest.raises(PatchError):
        sandbox.apply(GOOD + new_file("big.txt").replace("+x\n", "+" + "x" * 100_000 + "\n"))
    assert sandbox.read("a.py") == FILES[0].data


def test_a_large_repository_of_odd_names(opener: Opener) -> None:
    names = ["a b", "tab\t", 'quo"te', "back\\slash", "new\nline", "-dash", "*", "é", "\udcff"]
    sandbox = opener(
        files=[File(f"{name}/{name}", name.encode("utf-8", "replace")) for name in names]
    )
    assert len(sandbox.files()) == len(names)
    assert sandbox.diff() == ""
    first = sandbox.snapshot()
    for name in names:
        sandbox.write(f"{name}/{name}", b"changed\n")
    patch = sandbox.diff()
    sandbox.restore(first)
    sandbox.apply(patch)
    assert all(sandbox.read(f"{name}/{name}") == b"changed\n" for name in names)
