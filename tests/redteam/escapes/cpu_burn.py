"""Burn CPU time in many processes."""

from __future__ import annotations

from tests.redteam.escapes import Host, alive
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SECONDS = 110
LIMITS = {"cpu_seconds": 1}
SCRIPT = r"""
for _ in range(4):
    os.fork()
while True:
    pass
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "cpu", result
    assert alive(sandbox) == []
