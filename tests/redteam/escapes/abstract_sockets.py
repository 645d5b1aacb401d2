"""Connect to a Unix socket of the host that has no path."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
def connect(name):
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(name)
attempt("abstract", connect, "\0" + os.environ["HOST_ABSTRACT"])
with open("/proc/net/unix") as file:
    print(file.read())
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 1)
    assert host.abstract.encode() not in result.stdout
