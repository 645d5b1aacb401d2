"""Send datagrams: to us, to the broadcast address, to the world."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
port = int(os.environ["HOST_UDP"])
def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.sendto(b"knock", address)
for address in (("10.0.0.1", port), ("172.17.0.1", port), ("255.255.255.255", port),
    ("224.0.0.1", port),
                ("8.8.8.8", 53), ("169.254.169.254", 80)):
    attempt(str(address), send, address)
send(("127.0.0.1", port))
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 6)
