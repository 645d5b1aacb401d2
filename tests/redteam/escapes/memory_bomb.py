"""Take memory in many processes, each within its own limit."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SCRIPT = r"""
for _ in range(8):
    if not os.fork():
        held = b"x" * (80 << 20)
        time.sleep(600)
time.sleep(600)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "memory", result
