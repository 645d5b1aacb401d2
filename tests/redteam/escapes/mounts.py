"""Mount, change the root, and open trees of mounts."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
for kind in (b"tmpfs", b"proc", b"sysfs", b"overlay", b"cgroup2", b"debugfs"):
    attempt(kind.decode(), lambda: checked(libc.mount(b"none", b"/tmp", kind, 0, None)))
attempt("bind", lambda: checked(libc.mount(b"/proc/1/root", b"/tmp", None, 4096, None)))
attempt("remount", lambda: checked(libc.mount(None, b"/usr", None, 32, None)))
for path in (b"/apprentice", b"/workspace", b"/proc", b"/"):
    attempt("umount", lambda: checked(libc.umount2(path, 2)))
attempt("chroot", os.chroot, "/proc/1/root")
attempt("pivot_root", call, 155, 41, 0, 0)
for name, number in (("open_tree", 428), ("move_mount", 429), ("fsopen", 430), ("fsmount", 432),
    ("fspick", 433), ("mount_setattr", 442)):
    attempt(name, call, number, number, 0, 0, 0, 0, 0)
attempt("handle", call, 304, 265, 0, 0, 0)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 21)
