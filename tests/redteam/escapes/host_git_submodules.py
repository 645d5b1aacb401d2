"""Have a submodule fetched from an address that is a program, or name itself an option."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.repository import capture, open_repository
from agent.status import UsageError

MODULES = """[submodule "../../hooks"]
\tpath = lib
\turl = {url}
\tupdate = !touch
"""


def on_host(make: Callable[..., Path], folder: Path) -> None:
    mark = folder / "ran"
    for url in (f"ext::sh -c touch% {mark}", f"-u./touch {mark}", f"file://{folder}", "../../x"):
        repo = make({"a.py": "a = 1\n", ".gitmodules": MODULES.format(url=url)})
        add = ["git", "-C", repo, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},lib"]
        subprocess.run(add, check=True)
        with open_repository(repo) as opened, pytest.raises(UsageError, match="submodules"):
            capture(opened)
        assert not mark.exists()
