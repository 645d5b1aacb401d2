"""Change by a patch what runs elsewhere: workflows, git's entries, attributes, submodules,
links."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.verify.patch import split

PATHS = (
    ".github/workflows/ci.yml", ".github/actions/x/action.yml", ".git/hooks/pre-commit",
        ".gitattributes",
    ".gitmodules", "sub/.gitattributes", ".pre-commit-config.yaml", "Makefile", "conftest.py",
)  # fmt: skip


def patch(path: str, mode: str = "100644", added: bool = True) -> str:
    if added:
        return (
            f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
            "@@ -0,0 +1 @@\n+x\n"
        )
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-y\n+x\n"


def on_host(make: Callable[..., Path], folder: Path) -> None:
    for path in PATHS:
        for added in (True, False):
            found = split(patch(path, added=added))
            assert not found.allowed, path
            assert found.findings or found.dropped, path
    for path, mode in (
        ("link", "120000"),
        ("module", "160000"),
        ("../x", "100644"),
        ("/x", "100644"),
    ):
        found = split(patch(path, mode))
        assert not found.allowed, path
        assert found.findings, path
