"""The checkout that a peer works on, and the patch that it leaves there."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from tools.sandbox.base import File

CACHES = frozenset(("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"))
FILE_BYTES = 4 << 20
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
SAFE = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "core.attributesFile=/dev/null", "-c", "core.autocrlf=false"),
    *("-c", "user.name=task", "-c", "user.email=task@localhost", "-c", "gc.auto=0"),
)


def make(files: Iterable[File], folder: Path) -> None:
    """Write the files into an empty folder and commit them, with no other history."""
    for file in files:
        path = folder / file.path
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{file.path} leads out of the checkout")
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.mode == "120000":
            path.symlink_to(os.fsdecode(file.data))
        else:
            path.write_bytes(file.data)
            path.chmod(0o755 if file.mode == "100755" else 0o644)
    _git(folder, "init", "--quiet", "--template=", "--initial-branch=main")
    _git(folder, "add", "--force", "--all")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message", "start")


def diff(before: Iterable[File], folder: Path) -> str:
    """What the peer changed, as a git diff.

    The peer could write the checkout's `.git`, so git never looks there: both trees are
    imported into a new repository. New caches, files of the peer's own and new files over
    4 MiB are no part of it.
    """
    old = {file.path: file for file in before}
    new = {file.path: file for file in _read(folder, old)}
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        bare = Path(name)
        _git(bare, "init", "--quiet", "--bare", "--template=", "--initial-branch=old")
        stream = _commit("old", old.values()) + _commit("new", new.values())
        _git(bare, "fast-import", "--quiet", stdin=stream)
        plain = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "--binary")
        return _git(bare, "diff", *plain, "old", "new").decode("utf-8", "surrogateescape")


def _read(folder: Path, known: Iterable[str]) -> Iterator[File]:
    kept = frozenset(known)
    above = {str(parent) for path in kept for parent in PurePosixPath(path).parents}
    for top, folders, names in os.walk(folder):
        place = Path(top).relative_to(folder).as_posix()
        paths = {name: (PurePosixPath(place) / name).as_posix() for name in [*folders, *names]}
        links = [name for name in folders if os.path.islink(os.path.join(top, name))]
        folders[:] = sorted(
            name
            for name in set(folders) - {".git", *links}
            if name not in CACHES or paths[name] in above
        )
        for name in sorted([*names, *links]):
            full = Path(top, name)
            if paths[name] not in kept and _is_waste(full, paths[name]):
                continue
            if full.is_symlink():
                yield File(paths[name], os.fsencode(os.readlink(full)), "120000")
            elif full.is_file():
                mode: Literal["100644", "100755"]
                mode = "100755" if full.stat().st_mode & 0o100 else "100644"
                yield File(paths[name], full.read_bytes(), mode)


def _is_waste(full: Path, path: str) -> bool:
    parts = PurePosixPath(path).parts
    mine = path.endswith((".pyc", ".pyo")) or any(part.startswith(".aider") for part in parts)
    return mine or not CACHES.isdisjoint(parts) or full.lstat().st_size > FILE_BYTES


def _commit(branch: str, files: Iterable[File]) -> bytes:
    """A commit of these files, in the language of `git fast-import`."""
    head = f"commit refs/heads/{branch}\ncommitter task <task@localhost> 0 +0000\ndata 0\n"
    stream = [head.encode()]
    for file in files:
        quoted = file.path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        head = f'M {file.mode} inline "{quoted}"\ndata {len(file.data)}\n'
        stream += [head.encode("utf-8", "surrogateescape"), file.data, b"\n"]
    return b"".join(stream)


def _git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", *SAFE, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        env={**ENVIRONMENT, "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)},
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise RuntimeError(f"git {arguments[0]} failed: {said}")
    return done.stdout
