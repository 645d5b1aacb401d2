"""Fill the workspace with links: loops, links to everything, links on the way to a file."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Sandbox

SCRIPT = """
import os
for number in range(2000):
    os.symlink(["/", "..", "/etc/passwd", str(number), str(number + 1)][number % 5], str(number))
os.makedirs("d/e")
os.symlink("..", "d/e/up")
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    assert sandbox.run([sandbox.python, "-c", SCRIPT]).exit_code == 0
    assert len(sandbox.files()) == 4
    assert sandbox.diff().count("new file mode 120000") == 2001
    assert "root:" not in sandbox.diff()
    sandbox.restore(opened)
    assert sandbox.run(["ls"]).stdout == b"a.py\nlink\nsrc\n"
