"""Make calls by the numbers of another ABI of the machine, past a filter that knows one only."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import mmap
if platform.machine() == "x86_64":
    def x32():
        return checked(libc.syscall(ctypes.c_long(0x40000000 | 39)))
    attempt("x32", x32)
    code = bytes.fromhex("b814000000" "cd80" "c3")
    held = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    held.write(code)
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(held)))
    child = os.fork()
    if not child:
        run()
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    print("int80", "refused:" if os.WIFSIGNALED(ended) else "DONE", ended)
else:
    print("no other", "refused: here")
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result)
