"""Have git_blame run a program on the host, or tell of other files in its messages."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tools.git import blame_tool


def on_host(make: Callable[..., Path], folder: Path) -> None:
    repo = make({"a.py": "a = 1\nb = 2\n", ".gitattributes": "*.py diff=evil filter=evil\n"})
    mark, secret = folder / "ran", folder / "secret"
    secret.write_text("the secret line\n")
    for key in (
        "core.fsmonitor",
        "diff.evil.textconv",
        "diff.evil.command",
        "filter.evil.clean",
        "filter.evil.smudge",
        "core.pager",
        "diff.external",
    ):
        subprocess.run(["git", "-C", repo, "config", key, f"touch {mark}; cat"], check=True)
    (repo / "a.py").write_text("uncommitted\n")
    blame = blame_tool(str(repo))
    seen = blame.call(None, {"path": "a.py", "start_line": 1, "end_line": 2})
    assert seen.ok, seen.text
    assert "a = 1" in seen.text
    for key in ("blame.ignoreRevsFile", "mailmap.file"):
        subprocess.run(["git", "-C", repo, "config", key, str(secret)], check=True)
    for path in (
        "a.py",
        "../secret",
        str(secret),
        "--contents=" + str(secret),
        "--output=x",
        "a\0b",
    ):
        seen = blame.call(None, {"path": path, "start_line": 1, "end_line": 1})
        assert not seen.ok
        assert "secret line" not in seen.text
    assert not mark.exists()
