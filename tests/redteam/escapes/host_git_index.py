"""List files in the index that are none of the repository: of the host, of git."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.repository import capture, open_repository
from agent.status import AgentError

NAMES = ("../../secret", "/etc/passwd", ".git/config", "a/../../secret", ".GIT/config")


def write_index(path: Path, name: str) -> None:
    """An index (version 2) with one entry; git checks no names when it reads one."""
    raw = name.encode()
    stat = struct.pack(">10I", 0, 0, 0, 0, 0, 0, 0o100644, 0, 0, 1)
    entry = stat + hashlib.sha1(b"blob 0\0").digest() + struct.pack(">H", len(raw)) + raw
    entry += bytes(8 - len(entry) % 8)
    data = b"DIRC" + struct.pack(">2I", 2, 1) + entry
    path.write_bytes(data + hashlib.sha1(data).digest())


def on_host(make: Callable[..., Path], folder: Path) -> None:
    for name in NAMES:
        repo = make({"a.py": "a = 1\n"})
        write_index(repo / ".git" / "index", name)
        listed = subprocess.run(["git", "-C", repo, "ls-files"], capture_output=True, check=False)
        assert name.encode() in listed.stdout + listed.stderr
        with open_repository(repo) as opened, pytest.raises(AgentError):
            capture(opened)
