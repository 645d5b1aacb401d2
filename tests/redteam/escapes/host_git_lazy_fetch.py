"""Have git fetch a missing object: from a program, by a protocol that the repository allows
itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.apply import _commit_object
from agent.repository import capture, open_repository
from agent.status import AgentError
from agent.verify.verifier import Verdict
from tools.git import blame_tool

PATCH = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


URLS = ("file://{}", "ext::sh -c touch% {}", "{}")


def on_host(make: Callable[..., Path], folder: Path) -> None:
    for number, url in enumerate(URLS):
        repo, mark = make({"a.py": "a = 1\n", "b.py": "b = 1\n"}), folder / f"ran{number}"
        settings = {
            "extensions.partialClone": "origin",
            "core.repositoryFormatVersion": "1",
            "remote.origin.promisor": "true",
            "remote.origin.url": url.format(mark if "ext" in url else folder),
            "remote.origin.uploadpack": f"touch {mark}; false",
            "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
            "protocol.allow": "always",
            "protocol.ext.allow": "always",
            "protocol.file.allow": "always",
        }
        for key, value in settings.items():
            subprocess.run(["git", "-C", repo, "config", key, value], check=True)
        for store in (repo / ".git" / "objects").glob("??/*"):
            kind = ["git", "-C", repo, "cat-file", "-t", store.parent.name + store.name]
            if subprocess.run(kind, capture_output=True).stdout != b"commit\n":
                store.unlink()
        with suppress(AgentError), open_repository(repo) as opened:
            capture(opened)
            _commit_object(opened, capture(opened), Verdict(True, PATCH), "message")
        seen = blame_tool(str(repo)).call(None, {"path": "a.py", "start_line": 1, "end_line": 1})
        assert not seen.ok
        assert not mark.exists(), url
