"""Trace and read other processes, also one that is our own child."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
libc.ptrace.restype = ctypes.c_long
PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE = 0, 16, 0x4206
for name, request, pid in (("attach", PTRACE_ATTACH, 1), ("seize", PTRACE_SEIZE, 1), ("child",
    PTRACE_ATTACH, child), ("me", PTRACE_TRACEME, 0)):
    attempt(name, lambda: checked(libc.ptrace(request, pid, None, None)))
buffer = ctypes.create_string_buffer(8)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
for pid in (1, child):
    for function in (libc.process_vm_readv, libc.process_vm_writev):
        attempt("memory", lambda: checked(function(pid, vector, 1, vector, 1, 0)))
attempt("kcmp", call, 312, 272, os.getpid(), 1, 0, 0, 0)
attempt("pidfd_getfd", lambda: call(438, 438, os.pidfd_open(child), 0, 0))
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 10)
