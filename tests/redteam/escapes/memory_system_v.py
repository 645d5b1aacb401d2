"""Take memory in System V segments, message queues and semaphores, which outlive processes."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
def segment(size):
    return checked(libc.shmget(0, ctypes.c_size_t(size), 0o1666))
attempt("segment", segment, 64 << 20)
attempt("one of many segments", segment, 64 << 10)
attempt("huge segment", segment, 1 << 40)
attempt("queue", lambda: checked(libc.msgget(0, 0o1666)))
attempt("semaphores", lambda: checked(libc.semget(0, 250, 0o1666)))
small = segment(4096)
libc.shmctl(small, 0, None)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 5)
