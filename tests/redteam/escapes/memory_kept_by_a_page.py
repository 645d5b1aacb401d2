"""Fill shared memory and unmap all of it but a page, which keeps the whole."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SCRIPT = r"""
SIZE = 16 << 20
libc.mmap.restype = ctypes.c_void_p
held = []
for _ in range(40):
    start = libc.mmap(None, ctypes.c_size_t(SIZE), 3, 0x21, -1, ctypes.c_long(0))
    ctypes.memset(start, 120, SIZE)
    libc.munmap(ctypes.c_void_p(start + 4096), ctypes.c_size_t(SIZE - 4096))
    held.append(start)
time.sleep(600)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.killed_by == "memory", result
