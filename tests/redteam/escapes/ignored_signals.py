"""Ignore every signal that can be ignored, and block the others, past the timeout."""

from __future__ import annotations

from tests.redteam.escapes import Host, alive
from tools.sandbox.base import Result, Sandbox

SECONDS = 1
SCRIPT = r"""
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
os.fork()
time.sleep(600)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "timeout"
    assert result.exit_code == 137
    assert result.seconds < 10
    assert alive(sandbox) == []
