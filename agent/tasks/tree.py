"""The trees of a task: what an agent gets, with the failing tests or without."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from agent.repository import Capture
from agent.status import UsageError
from agent.tasks.instance import Instance, Variant
from agent.tasks.sources import Source, fetch
from tools.sandbox.base import File

ROOT = Path("/tasks")
_fetch = lru_cache(8)(fetch)


def source(instance: Instance) -> Source:
    """The repository as it is at `base_commit`. Raises UsageError or EnvironmentFailure."""
    return _fetch(instance.repo, instance.base_commit)


def base_files(instance: Instance) -> tuple[File, ...]:
    """The tree without the failing tests. Raises UsageError when a patch does not apply."""
    return patched(source(instance).files, instance.setup_patch)


def visible_files(instance: Instance) -> tuple[File, ...]:
    """The tree with the failing tests in it."""
    return patched(base_files(instance), instance.test_patch)


def sides(instance: Instance) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The contents of the visible files, and of those with the known fix.

    Raises UsageError when a patch does not apply, EnvironmentFailure without the repository.
    """
    before = visible_files(instance)
    after = patched(before, instance.patch)
    return {f.path: f.data for f in before}, {f.path: f.data for f in after}


def capture_of(instance: Instance, variant: Variant) -> Capture:
    """The tree of a variant, as if it were a user's repository."""
    files = visible_files(instance) if variant == "visible" else base_files(instance)
    root = ROOT / instance.instance_id
    return Capture(root=root, head=instance.base_commit, dirty=False, files=files)


def patched(files: Iterable[File], patch: str) -> tuple[File, ...]:
    """The files with a git diff applied, wholly. Raises UsageError when it does not apply.

    git applies it in a folder of its own, outside any repository and without configuration.
    """
    held = {file.path: file for file in files}
    if not patch.strip():
        return tuple(held.values())
    touched = _paths(patch)
    try:
        data = patch.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(f"the patch cannot be read: {error}") from error
    with tempfile.TemporaryDirectory(prefix="apprentice-") as name:
        folder = Path(name)
        for path in touched & held.keys():
            _write(folder, held[path])
        git = ["git", "apply", "--whitespace=nowarn", "-"]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(folder.parent),
            "LC_ALL": "C",
        }
        done = subprocess.run(
            git,
            cwd=folder,
            input=data,
            capture_output=True,
            env=environment,
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise UsageError(f"the patch does not apply: {said[0] if said else 'unknown error'}")
        for path in touched:
            held.pop(path, None)
            if (found := _read(folder, path)) is not None:
                held[path] = found
    return tuple(sorted(held.values(), key=lambda file: file.path))


def _paths(patch: str) -> set[str]:
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    try:
        parsed = PatchSet(patch)
    except (UnidiffParseError, UnicodeError) as error:
        raise UsageError(f"the patch cannot be read: {error}") from error
    found = set()
    for part in parsed:
        for path in (part.source_file, part.target_file):
            if path and path != os.devnull:
                found.add(_relative(path))
    return found


def _relative(path: str) -> str:
    """A path of a patch below the repository. Raises UsageError when it leads elsewhere."""
    name = path.partition("/")[2] if path.startswith(("a/", "b/")) else path
    if not name or name.startswith(("/", '"')) or ".." in name.split("/"):
        raise UsageError(f"the patch does not apply: {path} is no path in the repository")
    return name


def _write(folder: Path, file: File) -> None:
    path = folder / file.path
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{file.path} leads out of the repository")
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.mode == "120000":
        path.symlink_to(os.fsdecode(file.data))
        return
    path.write_bytes(file.data)
    path.chmod(0o755 if file.mode == "100755" else 0o644)


def _read(folder: Path, path: str) -> File | None:
    full = folder / path
    if not full.parent.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{path} leads out of the repository")
    if full.is_symlink():
        return File(path, os.fsencode(os.readlink(full)), "120000")
    if not full.is_file():
        return None
    return File(path, full.read_bytes(), "100755" if full.stat().st_mode & 0o100 else "100644")
