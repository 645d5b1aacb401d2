"""Close folders, also git's, so that a restore cannot clear them."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Sandbox

SCRIPT = """
mkdir -p x/y; echo x > x/y/z; mkdir closed; echo x > src/other
chmod 000 x/y x closed .git; chmod 555 src; chmod 111 .
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    assert sandbox.run(["sh", "-c", SCRIPT]).exit_code == 0
    sandbox.restore(opened)
    assert sandbox.run(["ls", ".", "src"]).stdout == b".:\na.py\nlink\nsrc\n\nsrc:\nrun.sh\n"
    assert sandbox.run(["git", "status", "--short"]).stdout == b""
    sandbox.write("src/new", b"x")
