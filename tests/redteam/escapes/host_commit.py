"""Have a program run when a patch is committed: by hooks, by signing, by filters."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from agent.apply import Delivery, deliver
from agent.repository import capture, open_repository
from agent.status import Status
from agent.verify.verifier import Verdict

HOOKS = ("pre-commit", "post-commit", "commit-msg", "reference-transaction", "post-index-change")
PATCH = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


def on_host(make: Callable[..., Path], folder: Path) -> None:
    repo, mark = make({"a.py": "a = 1\n", ".gitattributes": "*.py filter=evil\n"}), folder / "ran"
    with open_repository(repo) as opened:
        found = capture(opened)
        keys = (
            "gpg.program",
            "filter.evil.clean",
            "filter.evil.smudge",
            "core.fsmonitor",
            "core.editor",
        )
        for key in keys:
            subprocess.run(["git", "-C", repo, "config", key, f"touch {mark}; cat"], check=True)
        subprocess.run(["git", "-C", repo, "config", "commit.gpgSign", "true"], check=True)
        for hook in HOOKS:
            (repo / ".git/hooks").mkdir(exist_ok=True)
            (repo / ".git/hooks" / hook).write_text(f"#!/bin/sh\ntouch {mark}\n")
            (repo / ".git/hooks" / hook).chmod(0o755)
        verdict = Verdict(True, PATCH, files={"a.py": b"a = 2\n"})
        for delivery in (Delivery(branch="fix"), Delivery(commit=True)):
            assert deliver(opened, found, delivery, Status.VERIFIED, verdict)
        assert (repo / "a.py").read_text() == "a = 2\n"
        assert not mark.exists()
