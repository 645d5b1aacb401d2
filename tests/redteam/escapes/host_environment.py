"""Read our environment variables: in /proc, and as they are inherited."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
print(dict(os.environ))
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try:
            with open("/proc/" + pid + "/" + name, "rb") as file:
                print(file.read())
        except OSError:
            pass
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    assert result.exit_code == 0
    assert b"HOST_FOLDER" in result.stdout
    assert host.secret.encode() not in result.stdout
    assert b"APPRENTICE_SECRET" not in result.stdout
