"""Have git run a program on the host when a repository is read: monitor, hooks, filters, pager."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from agent.repository import capture, open_repository

KEYS = (
    "core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
        "core.pager",
    "diff.external", "diff.evil.textconv", "diff.evil.command", "merge.evil.driver", "core.editor",
    "core.sshCommand", "gpg.program", "credential.helper", "core.alternateRefsCommand",
)  # fmt: skip
HOOKS = (
    "post-index-change",
    "reference-transaction",
    "pre-commit",
    "post-checkout",
    "fsmonitor-watchman",
)


def on_host(make: Callable[..., Path], folder: Path) -> None:
    attributes = "*.txt filter=evil diff=evil merge=evil\n"
    repo, mark = make({"a.txt": "x\n", ".gitattributes": attributes}), folder / "ran"
    for key in KEYS:
        subprocess.run(["git", "-C", repo, "config", key, f"touch {mark}; cat"], check=True)
    subprocess.run(["git", "-C", repo, "config", "core.hooksPath", "hooks"], check=True)
    for place in (repo / ".git" / "hooks", repo / "hooks"):
        place.mkdir(exist_ok=True)
        for hook in HOOKS:
            (place / hook).write_text(f"#!/bin/sh\ntouch {mark}\n")
            (place / hook).chmod(0o755)
    (repo / "a.txt").write_text("changed\n")
    with open_repository(repo) as opened:
        found = capture(opened)
    assert found.dirty
    assert {file.path: file.data for file in found.files}["a.txt"] == b"changed\n"
    assert not mark.exists()
