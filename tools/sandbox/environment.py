"""Which host folders a Python environment needs inside, and which of its files to mask."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tools.sandbox.base import SandboxError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32")
COVERED = ("/workspace", "/apprentice")
HIDDEN = b"raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)\n"


@dataclass
class Mounts:
    """`binds`: host paths bound read-only at the same path. `folders`: paths to cover with an
    empty folder. `files`: paths whose content is replaced."""

    python: str
    binds: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def is_system(path: str) -> bool:
    """Whether the sandbox shows this path anyway."""
    return any(path == top or path.startswith(top + "/") for top in SYSTEM)


def default_python() -> str:
    """A Python of the host that is in none of our environments."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = os.path.join(folder, "python3")
        if not os.path.isabs(folder) or not os.access(candidate, os.X_OK):
            continue
        inside_venv = os.path.exists(os.path.join(os.path.dirname(folder), "pyvenv.cfg"))
        if inside_venv or Path(candidate).resolve().is_relative_to(sys.prefix):
            continue
        try:
            with open(candidate, "rb") as file:
                if file.read(4) == b"\x7fELF":
                    return candidate
        except OSError:
            continue
    return own_python()


def own_python() -> str:
    """The interpreter below our own virtual environment."""
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)


def holds_home(path: str) -> bool:
    """Whether a path is, or leads to, the user's home or a folder above it."""
    real, home = os.path.realpath(path), os.path.realpath(os.path.expanduser("~"))
    return real in ("/", home) or home.startswith(real + "/")


def shown(path: str) -> str:
    """The path, if the sandbox may show it. Raises SandboxError."""
    if holds_home(path):
        raise SandboxError(
            f"{path}: leads to your home folder or one above it, which the sandbox must not show; "
            "give the path of a virtual environment"
        )
    for top in COVERED:
        if path == top or path.startswith(top + "/"):
            raise SandboxError(
                f"{path}: the sandbox has a folder of its own at {top}; put the Python environment "
                "elsewhere, or use docker"
            )
    return path


def prefix_of(python: str) -> str | None:
    """The folder that holds an interpreter's standard library; None if it is not above it."""
    prefix = os.path.dirname(os.path.dirname(python))
    if holds_home(prefix):
        return None
    for lib in ("lib", "lib64"):
        if any(Path(prefix, lib).glob("python3*/os.py")):
            return prefix
    return None


def hops(python: str) -> list[str]:
    """An interpreter's path and all that its links lead through, to the real file."""
    seen = [python]
    while os.path.islink(seen[-1]) and len(seen) < 40:
        link = os.path.join(os.path.dirname(seen[-1]), os.readlink(seen[-1]))
        seen.append(os.path.normpath(link))
    return [*seen, os.path.realpath(python)]


def mounts_of(environment: str | None, hide: Iterable[str], root: str | None) -> Mounts:
    """What to show of an environment. Raises SandboxError if it is none."""
    if environment is None:
        python = default_python()
    else:
        python = os.path.join(os.path.abspath(environment), "bin", "python")
        if not os.path.isfile(python) or not os.access(python, os.X_OK):
            python += "3"
        if not os.access(python, os.X_OK) or not os.path.isfile(os.path.realpath(python)):
            raise SandboxError(
                f"{environment}: no Python environment (there is no bin/python in it); "
                "give the path of a virtual environment"
            )
    mounts = Mounts(python)
    wanted: list[str] = []
    if environment is not None:
        wanted += [os.path.abspath(environment), os.path.realpath(environment)]
    for interpreter in (python, own_python()):
        for hop in hops(interpreter):
            if not any(hop.startswith(top + "/") for top in wanted):
                prefix = prefix_of(hop)
                if prefix or os.path.isfile(hop):
                    wanted.append(prefix or hop)
    for path in wanted:
        if not is_system(path) and path not in mounts.binds:
            mounts.binds.append(shown(path))
    if any(os.path.realpath(path).startswith("/nix/store/") for path in wanted):
        mounts.binds.append("/nix/store")
    tops = [os.path.realpath(path) for path in mounts.binds]
    for top in (*mounts.binds, "/usr", "/usr/local"):
        for packages in sorted(Path(top).glob("lib*/python3*/*-packages")):
            real = os.path.realpath(packages)
            inside = is_system(real) or any(real.startswith(path + "/") for path in tops)
            if inside and not packages.parent.parent.is_symlink():
                mask(mounts, packages, frozenset(hide), root)
    return mounts


def mask(mounts: Mounts, packages: Path, hide: frozenset[str], root: str | None) -> None:
    """Hide modules of a site-packages folder, and lead editable installs to the workspace."""
    for name in sorted(hide):
        if (packages / name).is_dir():
            mounts.folders.append(str(packages / name))
            mounts.files[str(packages / name / "__init__.py")] = HIDDEN
        if (packages / f"{name}.py").is_file():
            mounts.files[str(packages / f"{name}.py")] = HIDDEN
    for path in [*packages.glob("*.pth"), *packages.glob("__editable__*.py")]:
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_text("utf-8", "surrogateescape")
        except OSError:
            continue
        new = text
        if root:
            new = re.sub(rf"{re.escape(root.rstrip('/'))}(?=[/'\"\n]|$)", "/workspace", new)
        for name in hide:
            new = re.sub(rf"(['\"]){re.escape(name)}\1(\s*:\s*['\"])(?!/workspace)", r"''\2", new)
        if new.rstrip("\n") != text.rstrip("\n"):
            mounts.files[str(path)] = new.encode("utf-8", "surrogateescape")
