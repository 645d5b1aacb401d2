"""Leave the workspace by path: dots, absolute paths, NUL, and what Unicode takes for dots."""

from __future__ import annotations

import pytest

from tests.redteam.escapes import Host
from tools.sandbox.base import File, PathError, Sandbox, SandboxError, Spec
from tools.sandbox.choose import Kind, open_sandbox
from tools.sandbox.docker import IMAGE

PATHS = [
    "..", "../x", "/etc/passwd", "//etc/passwd", "a/../../x", "src/../../x", "./../x", "x\0y",
    "\0", "../x\0.py", "", ".", "./", "\ud800", "\udc2e\udc2e/x", ".git/config", "src/.git/x",
    ".git", "./.git/x", "src//.git//x", "/workspace/../etc/passwd", "/workspace/a.py",
]  # fmt: skip
HARMLESS = [
    "\uff0e\uff0e/x",
    "\u2024\u2024/x",
    "..\\x",
    "%2e%2e/x",
    "\u2215etc",
    "...",
    "~/x",
    "C:/x",
]


def attack(sandbox: Sandbox, host: Host) -> None:
    for path in [*PATHS, f"../{host.folder}/secret", f"{host.folder}/secret"]:
        with pytest.raises(PathError):
            sandbox.read(path)
        with pytest.raises(PathError):
            sandbox.write(path, b"x")
        with pytest.raises(PathError):
            sandbox.remove(path)
        if path not in ("", ".", "./"):
            with pytest.raises(PathError):
                sandbox.run(["true"], cwd=path)
    for path in HARMLESS:
        sandbox.write(path, b"x")
    assert {path for path, _ in sandbox.files()} > set(HARMLESS)
    for name in ("../x", "/x", "a/b", "", "..", "x\0"):
        with pytest.raises(PathError):
            sandbox.place(name, b"x")
    kind: Kind = "docker" if sandbox.name == "docker" else "bubblewrap"
    spec = Spec(image=IMAGE if kind == "docker" else None)
    for path in ("../x", "/x", ".git/hooks/post-checkout", "a/.git/x"):
        with pytest.raises(SandboxError):
            open_sandbox(kind, [File(path, b"x")], spec)
    with pytest.raises(SandboxError):
        open_sandbox(kind, [File("d", b"/tmp", "120000"), File("d/x", b"x")], spec)
