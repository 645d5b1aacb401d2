"""Write to the host and to the read-only parts of the sandbox."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
def write(path):
    with open(path, "w") as file:
        file.write("escaped")
for folder in (os.environ["HOST_FOLDER"], "/proc/1/root" + os.environ["HOST_FOLDER"], "/usr",
    "/usr/bin",
               "/usr/lib/python3", "/etc", "/", "/dev", "/proc", "/apprentice", "/apprentice/tools",
               "/apprentice/private", "/var", "/run", os.path.dirname(sys.executable)):
    attempt(folder, write, folder + "/escaped")
for path in ("/etc/passwd", "/usr/bin/env", sys.executable, "/etc/hosts"):
    attempt(path, write, path)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 19)
