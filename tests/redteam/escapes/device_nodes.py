"""Make device nodes, and open those of the host."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import stat
for folder in ("/workspace", "/tmp", "/dev/shm"):
    for name, kind, major, minor in (("mem", stat.S_IFCHR, 1, 1), ("disk", stat.S_IFBLK, 8, 0),
        ("null", stat.S_IFCHR, 1, 3)):
        attempt(name, os.mknod, folder + "/" + name, kind | 0o666, os.makedev(major, minor))
for name in ("mem", "kmem", "port", "sda", "vda", "nvme0n1", "kmsg", "kvm", "fuse",
    "loop-control", "net/tun", "vsock", "vhost-vsock", "uinput", "tty0"):
    attempt(name, lambda: os.open("/dev/" + name, os.O_RDWR))
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 24)
