"""Make namespaces of our own, where we would be root, and enter others."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
flags = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000,
    "ipc": 0x08000000,
         "uts": 0x04000000, "cgroup": 0x02000000, "time": 0x80}
for name, flag in flags.items():
    attempt("unshare " + name, lambda: checked(libc.unshare(flag)))
for name, flag in flags.items():
    if name != "time":
        attempt("clone " + name, call, 56, 220, flag | 17, 0, 0, 0, 0)
        attempt("user and " + name, lambda: checked(libc.unshare(flag | flags["user"])))
arguments = (ctypes.c_uint64 * 8)(flags["user"], 0, 0, 0, 17, 0, 0, 0)
attempt("clone3", call, 435, 435, ctypes.addressof(arguments), 64)
for name in ("user", "mnt", "pid", "net"):
    attempt("enter " + name, lambda: checked(libc.setns(os.open("/proc/1/ns/" + name,
        os.O_RDONLY), 0)))
    attempt("enter own " + name, lambda: checked(libc.setns(os.open("/proc/self/ns/" + name,
        os.O_RDONLY), 0)))
print(subprocess.run(["unshare", "-Ur", "id", "-u"], capture_output=True).stdout)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 31)
    assert b"0\n" not in result.stdout.splitlines()[-1]
