"""Apply a patch that names files outside of the tree, or git's own, also as other systems write
them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.apply import Conflict, Delivery, deliver
from agent.repository import capture, open_repository
from agent.status import Status
from agent.verify.verifier import Verdict

PATHS = (
    "../x", "/tmp/escape-x", "a/../../x", ".git/hooks/post-checkout", ".git/config",
        "sub/.git/config",
    ".GIT/config", ".Git/hooks/x", "git~1/config", ".git./x", ".git /x",
    ".git::$INDEX_ALLOCATION/x",
    ".g\u200cit/config", ".git\ufeff/config", "", "a//b", "./x", "x\0y", ".git",
)  # fmt: skip


def on_host(make: Callable[..., Path], folder: Path) -> None:
    repo = make({"a.py": "a = 1\n"})
    with open_repository(repo) as opened:
        found = capture(opened)
        before = {p: p.read_bytes() for p in repo.parent.rglob("*") if p.is_file()}
        for path in PATHS:
            verdict = Verdict(True, "", files={"a.py": b"a = 2\n", path: b"x"})
            with pytest.raises(Conflict):
                deliver(opened, found, Delivery(), Status.VERIFIED, verdict)
            after = {p: p.read_bytes() for p in repo.parent.rglob("*") if p.is_file()}
            assert after == before, path
