"""Have a file tool work for ever on the host, with a glob and a path made for each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tools.files import matches

KEPT = {
    "": "a/b.py",
    "*.py": "a/b/c.py",
    "src/*.py": "src/a.py",
    "src/**/*.py": "src/a.py",
    "**/test_*.py": "test_x.py",
    "./src/": "src/a/b",
    "src/**": "src/a/b",
    "src/**.py": "src/a/b.py",
    "src/t**.py": "src/test.py",
    "a/?.py": "a/b.py",
    "src/[id].tsx": "src/[id].tsx",
    "**/b/**": "a/b/c",
}
NOT = {"src/*.py": "src/a/b.py", "src/?": "src/ab", "a/**/b": "a/c", "x/**": "y/x/z"}


def on_host(make: Callable[..., Path], folder: Path) -> None:
    start = time.monotonic()
    deep, long = "/".join(["a"] * 500), "a" * 4000
    for path in (deep, long, f"a/{long}", f"{deep}/{long}"):
        for glob in ("**/" * 40 + "b", "**a" * 40 + "/b", "a/" + "*a" * 40 + "b", "*a" * 40 + "b"):
            assert not matches(path, glob)
    assert time.monotonic() - start < 30
    for glob, path in KEPT.items():
        assert matches(path, glob), glob
    for glob, path in NOT.items():
        assert not matches(path, glob), glob
