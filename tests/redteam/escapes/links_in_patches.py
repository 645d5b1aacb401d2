"""Have patches write through links, and make links that lead out on the way."""

from __future__ import annotations

import pytest

from tests.redteam.escapes import Host
from tools.sandbox.base import PatchError, Sandbox


def new_file(path: str, mode: str = "100644", text: str = "x") -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{text}\n"
    )


def attack(sandbox: Sandbox, host: Host) -> None:
    sandbox.run(["sh", "-c", "ln -s /tmp out; echo mine > some.log"])
    before = sandbox.snapshot()
    link = new_file("way", "120000", str(host.folder)) + "\\ No newline at end of file\n"
    patches = [
        *map(new_file, ("../x", "/tmp/x", ".git/hooks/x", "out/x", "link/x", "some.log", "src")),
        *map(new_file, (".GIT/hooks/x", ".git", "a/.git/config", "src/../../x", "git~1/x")),
        link + new_file("way/x"),
        new_file("way/x") + link,
        new_file("module", "160000", "Subproject commit " + "1" * 40),
        "diff --git a/a.py b/../x\nsimilarity index 100%\nrename from a.py\nrename to ../x\n",
        "diff --git a/a.py b/.git/x\nsimilarity index 100%\ncopy from a.py\ncopy to .git/x\n",
    ]
    for patch in patches:
        with pytest.raises(PatchError):
            sandbox.apply(patch)
        assert sandbox.snapshot() == before, patch
    assert sandbox.run(["ls", "/tmp"]).stdout == b""
    sandbox.apply(link)
    with pytest.raises(PatchError):
        sandbox.apply(new_file("way/x"))
