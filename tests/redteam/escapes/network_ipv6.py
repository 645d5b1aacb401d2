"""Connect over IPv6."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
tcp, udp = int(os.environ["HOST_TCP"]), int(os.environ["HOST_UDP"])
for address in (("::1", tcp), ("2606:4700:4700::1111", 53), ("fe80::1", tcp), ("::ffff:1.1.1.1",
    53)):
    attempt(str(address), socket.create_connection, address, 2)
def send(address):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as out:
        out.sendto(b"knock", address)
for address in (("2001:4860:4860::8888", 53), ("ff02::1", udp)):
    attempt(str(address), send, address)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 6)
