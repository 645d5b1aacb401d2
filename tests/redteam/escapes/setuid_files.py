"""Gain rights from programs that are set-user-ID, found or made."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
import shutil, stat
print(os.getuid(), os.geteuid())
shutil.copy("/bin/cat", "/workspace/own")
try:
    os.chmod("/workspace/own", 0o6755)
except OSError:
    pass
for path in ("/workspace/own", "/bin/su", "/usr/bin/passwd", "/usr/bin/newuidmap",
    "/usr/bin/mount", "/usr/bin/sudo"):
    if os.path.exists(path):
        out = subprocess.run([path, "/etc/shadow"], stdin=subprocess.DEVNULL,
            capture_output=True).stdout
        assert b":$" not in out and b"root:" not in out, path
for wanted in (0, os.getuid() + 1):
    attempt("setuid", os.setuid, wanted)
    attempt("setgid", os.setgid, wanted)
attempt("setgroups", os.setgroups, [0])
attempt("chown", os.chown, "/workspace/own", 0, 0)
with open("/proc/self/mounts") as file:
    for line in file:
        place, options = line.split()[1], line.split()[3].split(",")
        if place in ("/workspace", "/tmp", "/dev/shm", "/apprentice") and "nosuid" not in options:
            print(place, "DONE")
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 6)
