"""Write one huge file."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
size = 0
try:
    with open("big", "wb", buffering=0) as file:
        while True:
            size += file.write(b"x" * (1 << 20))
except OSError as error:
    print(error.strerror, size)
attempt("truncate", os.truncate, "big", 1 << 40)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert b"File too large" in result.stdout, result
    assert b"DONE" not in result.stdout
    assert len(sandbox.read("big")) <= 32 << 20
