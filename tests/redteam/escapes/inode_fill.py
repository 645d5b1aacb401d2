"""Make empty files without end: they take the kernel's memory, which no process holds."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SCRIPT = r"""
number = 0
while True:
    open(str(number), "w").close()
    number += 1
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "memory", result
    sandbox.restore(sandbox.snapshot())
    count = sandbox.run(["sh", "-c", "ls | wc -l"])
    if count.killed_by == "memory":
        # A fast machine makes more between two looks than a command may begin with: none begins.
        return
    assert int(count.stdout) < 100_000
    cleared = sandbox.run(["sh", "-c", "rm -rf [0-9]*; ls | wc -l"])
    assert (cleared.killed_by, int(cleared.stdout)) == (None, 3)
