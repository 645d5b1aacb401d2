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
BEGINS = 10_000
"""More files than a command may make here, and fewer than those with which none begins."""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "memory", result
    sandbox.restore(sandbox.snapshot())
    made = [path for path, _ in sandbox.files() if path.isdigit()]
    for path in made[BEGINS:]:
        sandbox.remove(path)
    assert len(made) < 100_000
    count = sandbox.run(["sh", "-c", "ls | wc -l"])
    assert int(count.stdout) < 100_000
    cleared = sandbox.run(["sh", "-c", "rm -rf [0-9]*; ls | wc -l"])
    assert (cleared.killed_by, int(cleared.stdout)) == (None, 3)
