"""Fill every file system that can be written."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Result, Sandbox

HEAVY = True
SCRIPT = r"""
block = b"x" * (1 << 20)
for folder in ("/workspace", "/tmp", "/dev/shm"):
    written = 0
    try:
        for number in range(200):
            with open(folder + "/escape-" + str(number), "wb") as file:
                for _ in range(16):
                    file.write(block)
                    file.flush()
                    written += len(block)
    except OSError as error:
        print(folder, error.strerror, written)
"""


def held(result: Result, sandbox: Sandbox, host: Host) -> None:
    lines = result.stdout.splitlines()
    assert len(lines) == 3, result
    for line, most in zip(lines, (64, 32, 8), strict=True):
        assert b"No space left" in line
        assert int(line.split()[-1]) <= most << 20
    sandbox.run(["sh", "-c", "rm -f escape-* /tmp/* /dev/shm/*"])
    sandbox.write("again.txt", b"room again")
    assert sandbox.read("again.txt") == b"room again"
