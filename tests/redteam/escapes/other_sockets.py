"""Open sockets that network namespaces do not hold, or that are kernel code seldom used:
vsock leads from a virtual machine to its host."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
for name, family, kind in (("vsock", 40, socket.SOCK_STREAM), ("vsock", 40, socket.SOCK_DGRAM),
    ("alg", 38, 5),
                           ("packet", 17, socket.SOCK_RAW), ("bluetooth", 31, socket.SOCK_RAW),
                           ("xdp", 44, socket.SOCK_RAW), ("can", 29, socket.SOCK_RAW), ("tipc",
                           30, 2),
                           ("rds", 21, 5), ("qrtr", 42, 2), ("raw", 2, socket.SOCK_RAW)):
    attempt(name, socket.socket, family, kind)
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
    socket.socket(family, socket.SOCK_DGRAM).close()
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 11)
