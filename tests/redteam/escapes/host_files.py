"""Find files of the host: by their path, through /proc, and by walking over all that is shown."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
top = os.environ["HOST_FOLDER"]
def read(path):
    with open(path, "rb") as file:
        return file.read(100) or 1 / 0
for path in (top + "/secret", "/proc/1/root" + top + "/secret", "/proc/1/cwd/etc/shadow",
             "/etc/shadow", "/etc/gshadow", "/root/.ssh/id_rsa", "/root/.netrc", "/dev/mem",
             "/proc/kcore", "/proc/1/environ", "/proc/1/mem", "/proc/1/maps"):
    attempt(path, read, path)
for start in ("/home", "/root", "/var", "/opt", "/srv", "/mnt", "/media", "/run",
    os.path.dirname(top)):
    for folder, folders, names in os.walk(start):
        if folder.count("/") > 5:
            folders.clear()
        for name in names:
            if name == "secret":
                print(folder, "DONE")
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 12)
