"""Gain time and rights that commands have not: priority, real time, limits, capabilities."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import resource
attempt("nice", os.nice, -1)
attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
for name in ("NPROC", "FSIZE", "AS", "CPU", "NOFILE", "MEMLOCK"):
    kind = getattr(resource, "RLIMIT_" + name)
    hard = resource.getrlimit(kind)[1]
    attempt(name, resource.setrlimit, kind, (hard + 1, hard + 1) if hard >= 0 else (0, -2))
attempt("clock", time.clock_settime, time.CLOCK_REALTIME, 1.0)
attempt("host name", socket.sethostname, "escaped")
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
attempt("capabilities", lambda: checked(libc.capset(header,
    (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))))
attempt("keep", lambda: checked(libc.prctl(8, 1, 0, 0, 0) or libc.prctl(47, 2, 0, 0, 0)))
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 12)
