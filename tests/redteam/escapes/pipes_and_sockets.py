"""Put pipes and sockets where a file is read, listed or written: who opens one waits for ever."""

from __future__ import annotations

import time

import pytest

from tests.redteam.escapes import Host
from tools.sandbox.base import PathError, Sandbox

SCRIPT = """
import os, socket
os.mkfifo("pipe")
os.remove("a.py")
os.mkfifo("a.py")
os.mkfifo(".gitignore~")
socket.socket(socket.AF_UNIX).bind("socket")
os.remove(".gitignore")
os.mkfifo(".gitignore")
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    start = time.monotonic()
    assert sandbox.run([sandbox.python, "-c", SCRIPT]).exit_code == 0
    for path in ("pipe", "a.py", "socket", ".gitignore"):
        with pytest.raises(PathError):
            sandbox.read(path)
        with pytest.raises(PathError):
            sandbox.write(path, b"x")
    assert "a.py" not in dict(sandbox.files())
    assert "deleted file" in sandbox.diff()
    sandbox.snapshot()
    sandbox.restore(opened)
    assert sandbox.read("a.py") == b"print(1)\nprint(2)\nprint(3)\n"
    assert time.monotonic() - start < 30
