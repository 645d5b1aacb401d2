"""Kill, read and trace the process that serves us, and forge what it keeps."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import signal
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV):
    try:
        os.kill(1, number)
    except OSError:
        pass
for name in ("mem", "environ", "maps", "cwd", "root", "exe", "fd/0", "fd/3", "syscall", "stack",
    "auxv"):
    attempt(name, lambda: open("/proc/1/" + name, "rb").read(1))
attempt("fd", os.listdir, "/proc/1/fd")
attempt("task", lambda: open("/proc/1/task/1/mem", "rb").read(1))
attempt("history", os.listdir, "/apprentice/private/shadow.git")
for path in ("/apprentice/private/x", "/apprentice/tools/x", "/apprentice/x"):
    attempt(path, os.mkdir, path)
attempt("score", lambda: open("/proc/1/oom_score_adj", "w").write("1000"))
attempt("priority", os.setpriority, os.PRIO_PROCESS, 1, 19)
status = open("/proc/self/status").read()
for line in ("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"):
    assert line in status
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 18)
    sandbox.run(["sh", "-c", "kill -9 -1"])
    assert sandbox.diff() == ""
