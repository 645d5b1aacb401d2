"""Make many files deep down, whose paths alone would fill the memory of who lists them."""

from __future__ import annotations

import pytest

from tests.redteam.escapes import Host
from tools.sandbox.base import MIB, Sandbox, SandboxError

LIMITS = {"disk_bytes": 512 * MIB}
SCRIPT = """
import os
for _ in range(15):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
for number in range(20000):
    open("%05d" % number, "w").close()
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    result = sandbox.run([sandbox.python, "-c", SCRIPT])
    assert result.exit_code == 0, result
    for read in (sandbox.files, sandbox.diff, sandbox.snapshot):
        with pytest.raises(SandboxError, match="long paths"):
            read()
    sandbox.restore(opened)
    assert sandbox.diff() == ""
