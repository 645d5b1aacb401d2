"""Start processes without end."""

from __future__ import annotations

from tests.redteam.escapes import Host, alive
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SECONDS = 4
SCRIPT = r"""
while True:
    try:
        if os.fork():
            os.write(1, b".")
    except OSError:
        time.sleep(0.01)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by in ("timeout", "memory", "processes", "cpu")
    assert 0 < len(result.stdout) <= 48
    assert result.cut == 0
    assert alive(sandbox) == []
