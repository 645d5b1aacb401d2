"""Nest folders deeper than any path can say, and live on in them after a restore."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.sandbox.base import Sandbox

SCRIPT = """
import os
for folder in ("new", "src"):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    for _ in range(3000):
        os.mkdir("ddd")
        os.chdir("ddd")
    with open("hidden", "w") as file:
        file.write("hidden")
    os.chdir("/workspace")
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    assert sandbox.run([sandbox.python, "-c", SCRIPT]).exit_code == 0
    sandbox.files()
    sandbox.diff()
    sandbox.restore(opened)
    assert sandbox.run(["ls", ".", "src"]).stdout == b".:\na.py\nlink\nsrc\n\nsrc:\nrun.sh\n"
