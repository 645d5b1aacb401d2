"""Print a gigabyte."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SCRIPT = r"""
block = b"y" * (1 << 20)
if os.fork():
    for _ in range(1024):
        os.write(1, block)
else:
    for _ in range(1024):
        os.write(2, block)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "output", result.killed_by
    assert len(result.stdout) <= 64 * 1024
    assert len(result.stderr) <= 64 * 1024
