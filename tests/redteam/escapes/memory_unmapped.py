"""Fill shared memory and take it out of the process's view: it stays taken, yet counts for none."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SCRIPT = r"""
import mmap
held = []
for _ in range(40):
    held.append(mmap.mmap(-1, 16 << 20))
    held[-1].write(b"x" * (16 << 20))
    held[-1].madvise(mmap.MADV_DONTNEED)
time.sleep(600)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "memory", result
