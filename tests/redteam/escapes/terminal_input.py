"""Type into the terminal that we were started from."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import fcntl, pty
for fd in (0, 1, 2):
    attempt("descriptor", fcntl.ioctl, fd, 0x5412, b"x")
attempt("terminal", os.open, "/dev/tty", os.O_RDWR)
if not os.fork():
    os.setsid()
    main, own = pty.openpty()
    fcntl.ioctl(own, 0x540E, 0)
    attempt("own terminal", fcntl.ioctl, own, 0x5412, b"x")
    attempt("paste", fcntl.ioctl, own, 0x541C, b"\3")
    os._exit(0)
os.wait()
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 6)
