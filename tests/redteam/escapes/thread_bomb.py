"""Start threads without end."""

from __future__ import annotations

from tests.redteam.escapes import Host, alive
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SECONDS = 3
SCRIPT = r"""
import threading
started = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        started += 1
except RuntimeError:
    print(started, flush=True)
    time.sleep(60)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by in ("timeout", "processes", "memory")
    assert not result.stdout or int(result.stdout) <= 100
    assert alive(sandbox) == []
