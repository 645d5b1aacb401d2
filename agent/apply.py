"""A patch onto the user's tree: all of it or nothing, and never over the user's own work.

Files are written by us, not by git, so that no hook or filter of the repository runs. What can
fail is tried before anything is written; what is written is put back when a later step fails.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from agent.paths import is_plain, through_link
from agent.repository import Capture, git_errors
from agent.status import AgentError, EnvironmentFailure, Status, UsageError
from agent.undo import SCRATCH, Change, digest, forget, note, prepare, restore
from agent.verify.verifier import Verdict
from policies.experience.events import Applied

if TYPE_CHECKING:
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
    if delivery.dry_run:
        return None
    paths = tuple(verdict.files)
    if delivery.patch is not None:
        _save(delivery.patch, verdict.diff)
        target = str(delivery.patch)
    elif delivery.branch is not None:
        check_branch(repo, delivery.branch)
        new = _commit_object(repo, capture, verdict, delivery.message)
        with git_errors():
            repo.git.update_ref(f"refs/heads/{delivery.branch}", new, "0" * 40)
        target = f"branch {delivery.branch}"
    elif delivery.commit:
        target = _commit(repo, capture, verdict, delivery.message)
    else:
        with _written(capture, verdict):
            target = "working tree"
    return Applied(target=target, files=paths, phase="apply")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # The mask is for the programs that we start. It is not enough for us: another thread would
    # take the signal, and this one be interrupted.
    for number in handlers:
        signal.signal(number, lambda taken, _: held.append(taken))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if held:
            signal.raise_signal(held[0])


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


def check_commit(repo: Repo, branch: str | None) -> None:
    """Raise early what would keep a commit from being made: no identity, no such branch name."""
    with git_errors("Set user.name and user.email with git config."):
        repo.git.var("GIT_COMMITTER_IDENT")
    if branch is not None:
        check_branch(repo, branch)


def check_branch(repo: Repo, branch: str) -> None:
    """Raise UsageError when a branch of this name cannot be made."""
    import git

    try:
        repo.git.check_ref_format("--branch", branch)
    except git.GitCommandError as error:
        raise UsageError(f"{branch!r} is not a valid branch name") from error
    for head in repo.heads:
        name = head.name
        if name == branch or name.startswith(f"{branch}/") or branch.startswith(f"{name}/"):
            raise UsageError(f"branch {name!r} is in the way of {branch!r}", "Choose another name.")


def _commit(repo: Repo, capture: Capture, verdict: Verdict, message: str) -> str:
    new = _commit_object(repo, capture, verdict, message)
    with (
        temporary_index(repo, copy=True) as env,
        patch_file(verdict.diff) as patch,
    ):
        _apply_cached(repo, patch, env)
        target = f"commit {new[:12]}"
        if capture.dirty:
            target += " (verified together with your uncommitted work)"
        with _written(capture, verdict, new):
            with git_errors():
                repo.git.update_ref("-m", "agent solve", "HEAD", new, capture.head)
            try:
                _apply_cached(repo, patch, {})
            except (AgentError, OSError):
                target += " (the index is locked: run `git reset` to refresh it)"
    return target


def _commit_object(repo: Repo, capture: Capture, verdict: Verdict, message: str) -> str:
    """A commit of the patch alone on the captured HEAD, without uncommitted work; its id."""
    if repo.head.commit.hexsha != capture.head:
        raise Conflict("HEAD has moved since the run began; nothing was written", _SAVED)
    with (
        git_errors(),
        temporary_index(repo, copy=False) as env,
        patch_file(verdict.diff) as patch,
    ):
        repo.git.read_tree(capture.head, env=env)
        _apply_cached(repo, patch, env)
        tree = repo.git.write_tree(env=env)
        return str(repo.git.commit_tree(tree, "-p", capture.head, "-m", message))


_SAVED = "The patch is saved with the trajectory: see `agent experience show last`."


@contextmanager
def _written(capture: Capture, verdict: Verdict, commit: str = "") -> Iterator[None]:
    """Write the verdict's files into the working tree; put everything back if the block fails.

    If this process dies in between, the next run puts back what is half written; `commit` is the
    one that the block moves HEAD to, if any.
    """
    root, known = capture.root, {file.path: file.data for file in capture.files}
    _check_folders(verdict.files)
    for path in verdict.files:
        _check_unchanged(root, path, known.get(path))
    made = [parent for path in verdict.files for parent in _missing_folders(root / path)]
    changes = [_change(root, path, known.get(path), data) for path, data in verdict.files.items()]
    begun: list[Change] = []
    try:
        folders = [folder.relative_to(root).as_posix() for folder in made]
        note(root, changes, folders, capture.head, commit)
        for change in changes:
            data = verdict.files[change.path]
            if data is not None:
                mode = _mode(change.mode, verdict.modes.get(change.path))
                (root / change.scratch).parent.mkdir(parents=True, exist_ok=True)
                prepare(root / change.scratch, data, mode)
        for change in changes:
            _check_unchanged(root, change.path, change.old)
            begun.append(change)
            _place(None if change.new is None else root / change.scratch, root / change.path)
        yield
    except BaseException as error:
        kept = _roll_back(root, begun)
        _clean_up([root / change.scratch for change in changes], made)
        if kept:
            raise EnvironmentFailure(
                f"the patch failed, and {', '.join(kept)} could not be put back",
                "Make it writable, or free some disk space: the next run puts it back.",
            ) from error
        forget(root)
        if isinstance(error, OSError):
            raise EnvironmentFailure(
                f"{error.filename or root} cannot be written: {error.strerror}",
                "Use --patch FILE to save the patch elsewhere.",
            ) from error
        raise
    forget(root)


def _change(root: Path, path: str, old: bytes | None, data: bytes | None) -> Change:
    scratch = PurePosixPath(path).with_name(SCRATCH + secrets.token_hex(8))
    mode = None if old is None else (root / path).stat().st_mode
    return Change(path=path, scratch=str(scratch), old=old, mode=mode, new=digest(data))


def _roll_back(root: Path, changes: Sequence[Change]) -> list[str]:
    """Restore files, except those that the user has changed since; those that cannot be."""
    failed = []
    for change in changes:
        try:
            restore(root, change)
        except OSError:
            failed.append(change.path)
    return failed


def _check_folders(files: Iterable[str]) -> None:
    paths = set(files)
    for path in paths:
        for folder in PurePosixPath(path).parents:
            if str(folder) in paths:
                raise Conflict(f"the patch makes a folder of the file {str(folder)!r}", _SAVED)


def _check_unchanged(root: Path, path: str, expected: bytes | None) -> None:
    if not is_plain(path):
        raise Conflict(f"the patch names {path!r}, which is no file below {root}", _SAVED)
    target = root / path
    changed = Conflict(f"{target} has changed since the run began; nothing was written", _SAVED)
    if through_link(root, path):
        raise changed
    try:
        regular = stat.S_ISREG(target.lstat().st_mode)
        actual = target.read_bytes() if regular else None
    except (FileNotFoundError, NotADirectoryError):
        regular, actual = True, None
    except OSError as error:
        raise Conflict(f"{target} is in the way: {error.strerror}", _SAVED) from error
    if not regular or actual != expected:
        raise changed


def _mode(before: int | None, wanted: str | None) -> int:
    mode = before if before is not None else 0o666 & ~_umask()
    if wanted == "100755":
        return mode | (mode & 0o444) >> 2
    return mode & ~0o111 if wanted == "100644" else mode


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _missing_folders(target: Path) -> list[Path]:
    return [parent for parent in target.parents if not parent.exists()]


def _place(prepared: Path | None, target: Path) -> None:
    if prepared is None:
        target.unlink(missing_ok=True)
    else:
        os.replace(prepared, target)


def _clean_up(files: Iterable[Path], folders: list[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
    for folder in sorted(set(folders), key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _save(path: Path, diff: str) -> None:
    try:
        path.write_bytes(diff.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error


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
def temporary_index(repo: Repo, *, copy: bool) -> Iterator[dict[str, str]]:
    """The environment of an index of our own: empty, or a copy of the repository's."""
    with tempfile.TemporaryDirectory(prefix="apprentice-") as folder:
        index = Path(folder) / "index"
        if copy:
            index.write_bytes((Path(repo.git_dir) / "index").read_bytes())
        yield {"GIT_INDEX_FILE": str(index)}


@contextmanager
def patch_file(diff: str) -> Iterator[str]:
    """The diff as a temporary file; its name."""
    with tempfile.NamedTemporaryFile(suffix=".patch") as file:
        file.write(diff.encode("utf-8", "surrogateescape"))
        file.flush()
        yield file.name
