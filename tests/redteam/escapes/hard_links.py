"""Reach files by a second name: of the host, of the supervisor, of one file many times."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Sandbox

SCRIPT = """
import os
for path in ("/etc/passwd", "/bin/sh", "/apprentice/private/index", "/proc/1/environ",
    "/proc/self/status"):
    try:
        os.link(path, "linked")
        print(path)
    except OSError:
        pass
with open("big", "w") as file:
    file.write("x" * (4 << 20))
for number in range(10):
    os.link("big", "big%d" % number)
os.link("a.py", "twin.py")
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    result = sandbox.run([sandbox.python, "-c", SCRIPT])
    assert (result.exit_code, result.stdout) == (0, b""), result
    changed = sandbox.snapshot()
    sandbox.write("twin.py", b"changed\n")
    assert sandbox.read("a.py") == b"print(1)\nprint(2)\nprint(3)\n"
    sandbox.run(["sh", "-c", "echo more >> a.py"])
    sandbox.restore(changed)
    assert sandbox.read("a.py") == sandbox.read("twin.py") == b"print(1)\nprint(2)\nprint(3)\n"
    sandbox.restore(opened)
    assert sandbox.diff() == ""
