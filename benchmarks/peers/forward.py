"""Carry connections between a TCP port and a Unix socket; as a program, the inside of the jail.

python forward.py PORT SOCKET COMMAND…  listens on 127.0.0.1:PORT, carries every connection to
SOCKET, runs the command and exits with its code. Only the standard library: it runs in the jail.
"""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

MEMORY_BYTES = 8 << 30
FILE_BYTES = 256 << 20
OPEN_FILES = 1024


def forward(listening: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Carry each connection that `listening` accepts to a new one, until it is closed."""
    while True:
        try:
            near, _ = listening.accept()
        except OSError:
            return
        try:
            far = connect()
        except OSError:
            near.close()
            continue
        for pair in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=pair, daemon=True).start()


def start(listening: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """`forward` in a thread of its own."""
    threading.Thread(target=forward, args=(listening, connect), daemon=True).start()


def unix(path: str) -> Callable[[], socket.socket]:
    """Connects to a Unix socket."""

    def connect() -> socket.socket:
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            far.connect(path)
        except OSError:
            far.close()
            raise
        return far

    return connect


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # A peer that hung up: the other side must learn of it.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def main() -> int:
    """Forward, with the limits of the jail on the command."""
    port, path, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    start(socket.create_server(("127.0.0.1", port)), unix(path))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
