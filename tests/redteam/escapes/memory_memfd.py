"""Take memory in files that are in no file system."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SCRIPT = r"""
held = []
def fill():
    for _ in range(20):
        held.append(os.memfd_create("escape"))
        for _ in range(16):
            os.write(held[-1], b"x" * (1 << 20))
attempt("memfd", fill)
attempt("memfd_secret", call, 447, 447, 0)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 2)
