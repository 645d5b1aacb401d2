"""Use the kernel's keyrings, which no namespace holds."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
USER, SESSION = -4, -3
attempt("add", call, 248, 217, ctypes.addressof(ctypes.create_string_buffer(b"user")),
    ctypes.addressof(ctypes.create_string_buffer(b"escape")),
        ctypes.addressof(ctypes.create_string_buffer(b"x")), 1, USER)
attempt("request", call, 249, 218, ctypes.addressof(ctypes.create_string_buffer(b"user")),
    ctypes.addressof(ctypes.create_string_buffer(b"escape")), 0, SESSION)
for name, operation in (("id", 0), ("join", 1), ("describe", 6), ("read", 11)):
    attempt(name, call, 250, 219, operation, SESSION, 0, 0, 0)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 6)
