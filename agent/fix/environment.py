"""Which Python environment the checks run in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def project_environment(root: Path, tracked: frozenset[str]) -> str | None:
    """The environment of the project, when pre-commit has put its own in the place of it.

    For a hook, pre-commit activates the environment that it has made for the hook. The project's
    is the next one on PATH (the one that the user has activated), or `.venv` or `venv` in the
    repository, unless they are among its `tracked` files. None when there is none, or no hook runs.
    """
    active = os.environ.get("VIRTUAL_ENV", "")
    if "PRE_COMMIT" not in os.environ or not active or not _same(Path(active), Path(sys.prefix)):
        return None
    folders = [Path(name).parent for name in os.environ.get("PATH", "").split(os.pathsep) if name]
    own = [root / name for name in (".venv", "venv") if name not in tracked]
    for folder in (*folders, *own):
        if _is_environment(folder) and not _same(folder, Path(sys.prefix)):
            return str(folder.resolve())
    return None


def has_program(environment: str | None, name: str) -> bool:
    """Whether a sandbox with this environment finds a program."""
    path = SYSTEM_PATH if environment is None else f"{environment}/bin:{SYSTEM_PATH}"
    return shutil.which(name, path=path) is not None


def _is_environment(path: Path) -> bool:
    return (path / "pyvenv.cfg").is_file() and (path / "bin" / "python").exists()


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
