"""Connect over TCP: to us, to the cloud's metadata, to the world."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
port = int(os.environ["HOST_TCP"])
for address in (("127.0.0.1", port), ("10.0.0.1", port), ("172.17.0.1", port), ("192.168.0.1",
    port),
                ("169.254.169.254", 80), ("1.1.1.1", 53), ("1.1.1.1", 443), ("0.0.0.0", port)):
    attempt(str(address), socket.create_connection, address, 2)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=2)
print(sorted(name for _, name in socket.if_nameindex()))
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 8)
    assert b"'lo'" in result.stdout
    assert b"eth" not in result.stdout
