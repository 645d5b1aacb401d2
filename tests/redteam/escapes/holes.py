"""Make files of holes whose sizes add up to terabytes, for whoever reads them all."""

from __future__ import annotations

import time

import pytest

from tests.redteam.escapes import Host
from tools.sandbox.base import Sandbox, SandboxError

SCRIPT = """
import os
os.makedirs("d")
for number in range(2000):
    with open("d/%d" % number, "w") as file:
        file.truncate(32 << 20)
with open("a.py", "w") as file:
    file.truncate(32 << 20)
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    assert sandbox.run([sandbox.python, "-c", SCRIPT]).exit_code == 0
    start = time.monotonic()
    for read in (sandbox.diff, sandbox.snapshot):
        with pytest.raises(SandboxError, match="remove large new files"):
            read()
    assert len(sandbox.files()) > 2000
    sandbox.restore(opened)
    assert sandbox.diff() == ""
    assert time.monotonic() - start < 60
