"""Have files read, written and removed through links that lead out."""

from __future__ import annotations

import pytest

from tests.redteam.escapes import Host
from tools.sandbox.base import PathError, Sandbox


def attack(sandbox: Sandbox, host: Host) -> None:
    script = (
        "ln -s /etc/passwd out; ln -s /tmp dir; ln -s ../../etc up; ln -s /workspace/a.py in; "
        f"ln -s loop loop; echo secret > /tmp/t; ln -s .git store; ln -s {host.folder} host; "
        "ln -s /proc/1/root/etc/passwd through; ln -s /apprentice/private kept"
    )
    assert sandbox.run(["sh", "-c", script]).exit_code == 0
    reads = ("out", "dir/t", "up/passwd", "loop", "src", "store/config", "host/secret", "through")
    for path in reads:
        with pytest.raises(PathError):
            sandbox.read(path)
    assert sandbox.read("in") == sandbox.read("a.py")
    for path in ("out", "dir/t", "up/x", "in", "link", "store/hooks/x", "host/x", "kept/x"):
        with pytest.raises(PathError):
            sandbox.write(path, b"x")
    for path in ("dir/t", "host/secret", "store/config", "kept/index"):
        with pytest.raises(PathError):
            sandbox.remove(path)
    sandbox.remove("out")
    assert sandbox.run(["cat", "/tmp/t"]).stdout == b"secret\n"
    with pytest.raises(PathError):
        sandbox.run(["true"], cwd="dir")
