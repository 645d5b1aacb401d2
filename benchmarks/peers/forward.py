"""Carry connections between a TCP port and a Unix socket; as a program, the inside of the jail.

python forward.py PORT SOCKET FOLDER COMMAND…  listens on 127.0.0.1:PORT, carries every connection
to SOCKET, runs the command in FOLDER and exits with its code. Only the standard library: it runs
in the jail.
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
PROCESSES = 4096


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
        threading.Thread(target=_carry, args=(near, far), daemon=True).start()


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


def _carry(near: socket.socket, far: socket.socket) -> None:
    with near, far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


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
    port, path, folder, command = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
    start(socket.create_server(("127.0.0.1", port)), unix(path))
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    code = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL).returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
