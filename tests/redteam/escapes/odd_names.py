"""Give files names with newlines, escapes of terminals, quotes, and bytes that are no text."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Sandbox

NAMES = [
    "new\nline", "\x1b]0;title\x07", "\x1b[2J", "quo\"te", "back\\slash", "\udcff\udcfe", "-rf",
        " ",
    "tab\t", "b/x", "a => b", "\u202egpj.exe", "\r", "%s{}$(x)`x`", "x" * 255,
]  # fmt: skip


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    for name in NAMES:
        sandbox.write(f"odd/{name}", b"odd\n")
    assert len([path for path, _ in sandbox.files() if path.startswith("odd/")]) == len(NAMES)
    patch = sandbox.diff()
    sandbox.restore(opened)
    assert sandbox.diff() == ""
    sandbox.apply(patch)
    for name in NAMES:
        assert sandbox.read(f"odd/{name}") == b"odd\n"
