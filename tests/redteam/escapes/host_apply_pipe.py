"""Put a pipe in the place of a file that a patch changes: who reads it waits for ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.apply import Conflict, Delivery, deliver
from agent.repository import capture, open_repository
from agent.status import Status
from agent.verify.verifier import Verdict


def on_host(make: Callable[..., Path], folder: Path) -> None:
    repo = make({"a.py": "a = 1\n"})
    with open_repository(repo) as opened:
        found = capture(opened)
        (repo / "a.py").unlink()
        os.mkfifo(repo / "a.py")
        with pytest.raises(Conflict):
            verdict = Verdict(True, "", files={"a.py": b"a = 2\n"})
            deliver(opened, found, Delivery(), Status.VERIFIED, verdict)
    assert (repo / "a.py").is_fifo()
