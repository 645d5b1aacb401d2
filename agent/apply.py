"""A patch onto the user's tree: all of it or nothing, and never over the user's own work.

Files are written by us, not by git, so that no hook or filter of the repository runs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.repository import Capture
from agent.status import AgentError, EnvironmentFailure, Status, UsageError
from agent.verify.verifier import Verdict
from policies.experience.events import Applied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from git import Repo


class Conflict(AgentError):
    """The tree changed while the agent worked; nothing was written."""


@dataclass(frozen=True)
class Delivery:
    """Where a patch goes. At most one of `commit`, `branch`, `patch` and `dry_run` is set; with
    none of them it goes onto the working tree. Unverified patches go nowhere unless asked."""

    commit: bool = False
    branch: str | None = None
    patch: Path | None = None
    dry_run: bool = False
    apply_unverified: bool = False
    message: str = "Fix the issue"

    @property
    def writes_tree(self) -> bool:
        """Whether the working tree is written."""
        return not (self.branch or self.patch or self.dry_run)


def deliver(
    repo: Repo, capture: Capture, delivery: Delivery, status: Status, verdict: Verdict
) -> Applied | None:
    """Bring a patch to where the user wants it; None when it stays in the trajectory alone.

    Raises Conflict, UsageError or EnvironmentFailure; then nothing was changed.
    """
    if status is not Status.VERIFIED and not delivery.apply_unverified:
        return None
    paths = tuple(verdict.files)
    if delivery.dry_run:
        return None
    if delivery.patch is not None:
        _save(delivery.patch, verdict.diff)
        return Applied(target=str(delivery.patch), files=paths, phase="apply")
    if delivery.branch is not None:
        check_branch(repo, delivery.branch)
        new = _commit_object(repo, verdict, delivery.message)
        repo.git.update_ref(f"refs/heads/{delivery.branch}", new, "0" * 40)
        return Applied(target=f"branch {delivery.branch}", files=paths, phase="apply")
    new = _commit_object(repo, verdict, delivery.message) if delivery.commit else ""
    apply_to_tree(capture, verdict)
    if new:
        _stage(repo, verdict)
        repo.git.update_ref("-m", "agent solve", "HEAD", new, repo.head.commit.hexsha)
        return Applied(target=f"commit {new[:12]}", files=paths, phase="apply")
    return Applied(target="working tree", files=paths, phase="apply")


def apply_to_tree(capture: Capture, verdict: Verdict) -> None:
    """Write the verdict's files into the working tree.

    Raises Conflict when a file is no longer what it was, EnvironmentFailure when one cannot be
    written. In both cases the tree is left as it was.
    """
    before = {file.path: file.data for file in capture.files}
    targets = {path: capture.root / path for path in verdict.files}
    for path, target in targets.items():
        _check_unchanged(capture.root, target, before.get(path))
    done: list[str] = []
    try:
        for path, target in targets.items():
            _write(target, verdict.files[path], path in verdict.executable)
            done.append(path)
    except OSError as error:
        for path in done:
            _write(targets[path], before.get(path), None)
        raise EnvironmentFailure(
            f"{error.filename or capture.root} cannot be written: {error.strerror}",
            "Use --patch FILE to save the patch elsewhere.",
        ) from error


def _commit_object(repo: Repo, verdict: Verdict, message: str) -> str:
    """A commit of the patch alone on HEAD, without the user's uncommitted work; its id."""
    head = repo.head.commit.hexsha
    with _temporary_index() as env, _patch_file(verdict.diff) as patch:
        repo.git.read_tree(head, env=env)
        _apply_cached(repo, patch, env)
        tree = repo.git.write_tree(env=env)
    return str(repo.git.commit_tree(tree, "-p", head, "-m", message))


def _stage(repo: Repo, verdict: Verdict) -> None:
    with _patch_file(verdict.diff) as patch:
        _apply_cached(repo, patch, {})


def _save(path: Path, diff: str) -> None:
    try:
        path.write_bytes(diff.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error


def check_writable(capture: Capture) -> None:
    """Raise EnvironmentFailure early when the working tree is read-only."""
    try:
        with tempfile.TemporaryFile(dir=capture.root):
            pass
    except OSError as error:
        raise EnvironmentFailure(
            f"{capture.root} cannot be written: {error.strerror}",
            "Use --patch FILE to save the patch elsewhere, or --dry-run to only see it.",
        ) from error


def _check_unchanged(root: Path, target: Path, expected: bytes | None) -> None:
    parent = target.parent
    while not parent.exists():
        parent = parent.parent
    inside = parent.resolve().is_relative_to(root.resolve())
    try:
        actual = None if target.is_symlink() else target.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        actual = None
    if not inside or target.is_symlink() or actual != expected:
        raise Conflict(
            f"{target} has changed since the run began; nothing was written",
            "The patch is saved with the trajectory: see `agent experience show last`.",
        )


def _write(target: Path, data: bytes | None, executable: bool | None) -> None:
    if data is None:
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
    if executable:
        mode |= 0o111
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".apprentice-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_branch(repo: Repo, branch: str) -> None:
    """Raise UsageError when a branch of this name cannot be made."""
    import git

    try:
        repo.git.check_ref_format("--branch", branch)
    except git.GitCommandError as error:
        raise UsageError(f"{branch!r} is not a valid branch name") from error
    if branch in [head.name for head in repo.heads]:
        raise UsageError(f"branch {branch!r} exists already", "Choose another name.")


def _apply_cached(repo: Repo, patch: str, env: Mapping[str, str]) -> None:
    import git

    try:
        repo.git.apply("--cached", "--whitespace=nowarn", patch, env=dict(env))
    except git.GitCommandError as error:
        raise Conflict(
            "the patch rests on uncommitted changes and cannot be committed without them",
            "Commit your own changes first, or apply it without --commit and --branch.",
        ) from error


@contextmanager
def _temporary_index() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="apprentice-") as folder:
        yield {"GIT_INDEX_FILE": str(Path(folder) / "index")}


@contextmanager
def _patch_file(diff: str) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=".patch") as file:
        file.write(diff.encode("utf-8", "surrogateescape"))
        file.flush()
        yield file.name
