"""The user's repository, read without running anything that it could smuggle in.

git is called for names and ids only, with hooks, fsmonitor and filters out of play; contents are
read from disk. Nothing here writes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.paths import is_plain, key_of, through_link
from agent.status import EnvironmentFailure, UsageError
from agent.undo import note_path, pending, recover
from tools.sandbox.base import MIB, File

if TYPE_CHECKING:
    from git import Repo

MAX_REPOSITORY_BYTES = 1024 * MIB
SAFE_GIT = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.quotePath=false",
    "protocol.allow=never",
    "commit.gpgSign=false",
)
SAFE_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


@dataclass(frozen=True)
class Capture:
    """The working tree as the user has it: tracked and untracked files that are not ignored."""

    root: Path
    head: str
    dirty: bool
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """Total size of the files."""
        return sum(len(file.data) for file in self.files)


def open_repository(path: Path, *, unborn: bool = False) -> Repo:
    """The git repository that holds `path`; with `unborn`, be it one without a commit.

    Raises UsageError when there is none to work on.
    """
    git = _git()
    try:
        repo: Repo = git.Repo(path, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
        raise UsageError(
            f"{path} is not in a git repository",
            "Run `git init && git add -A && git commit -m start` there first.",
        ) from error
    _make_safe(repo)
    if repo.bare:
        raise UsageError(
            f"{repo.git_dir} is a bare repository: it has no files to work on",
            "Clone it and run in the clone.",
        )
    _check_root(repo)
    if not unborn and not repo.head.is_valid():
        raise UsageError(
            f"{repo.working_dir} has no commits yet",
            "Run `git add -A && git commit -m start` first.",
        )
    return repo


def _git() -> Any:
    try:
        import git
    except ImportError as error:
        raise EnvironmentFailure("git was not found", "Install git.") from error
    return git


def _make_safe(repo: Repo) -> None:
    repo.git.set_persistent_git_options(c=list(SAFE_GIT))
    repo.git.update_environment(**SAFE_ENVIRONMENT)


def _check_root(repo: Repo) -> None:
    """Raise UsageError when the repository's settings (core.worktree) name other files as its."""
    import git

    root = Path(repo.working_dir)
    with git_errors("If the folder is another user's, see git's safe.directory."):
        top = Path(repo.git.rev_parse("--show-toplevel"))
    try:
        with git.Repo(root) as found:
            same = Path(found.git_dir).resolve() == Path(repo.git_dir).resolve()
        if same and top.resolve() == root.resolve():
            return
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        pass
    raise UsageError(
        f"{repo.git_dir} names {top} as its files, which is no working tree of it",
        "Run `git config --unset core.worktree` there, or work in a fresh clone.",
    )


@contextmanager
def scratch_repository() -> Iterator[Repo]:
    """An empty repository without a working tree, gone when the context ends.

    What git says of a failure there is raised as an EnvironmentFailure.
    """
    git = _git()
    with (
        tempfile.TemporaryDirectory(prefix="apprentice-") as folder,
        git_errors(),
        git.Repo.init(folder, bare=True) as repo,
    ):
        _make_safe(repo)
        yield repo


@contextmanager
def git_errors(hint: str = "") -> Iterator[None]:
    """Turn what git says of a failure into an EnvironmentFailure."""
    import git

    try:
        yield
    except git.GitCommandError as error:
        said = str(error.stderr or error).strip().removeprefix("stderr: ").strip("'\n ")
        raise EnvironmentFailure(f"git: {said}", hint) from error


def capture(repo: Repo) -> Capture:
    """Read the working tree, uncommitted work included.

    Raises UsageError on submodules and on names in the index that lead out of the tree,
    EnvironmentFailure when a file cannot be read or the tree is too large. Files behind a link
    are not there, as for git; nor are untracked repositories and names that are not plain.
    """
    root = Path(repo.working_dir)
    with git_errors():
        entries = index_entries(repo)
        listed = repo.git.ls_files("-z", "--others", "--exclude-standard").split("\0")
        dirty = bool(repo.git.diff_index("--cached", "--name-only", "HEAD"))
    if submodules := [path for path, (mode, _) in entries.items() if mode == "160000"]:
        raise UsageError(
            f"submodules are not supported: {', '.join(submodules[:3])}",
            "Run inside the submodule itself, or in a copy without it.",
        )
    files: list[File] = []
    size = 0
    for path in sorted({*entries, *filter(is_plain, listed)}):
        if not is_plain(path):
            raise UsageError(
                f"git lists {path!r}, which is no file below {root}", "Work in a fresh clone."
            )
        file = read_file(root, path, MAX_REPOSITORY_BYTES - size)
        if file is None:
            dirty = dirty or path in entries
            continue
        size += len(file.data)
        files.append(file)
        dirty = dirty or entries.get(path) != (file.mode, blob_id(file.data))
    return Capture(root, repo.head.commit.hexsha, dirty, tuple(files))


def blob_id(data: bytes) -> str:
    """The git object id (SHA-1) of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def index_entries(repo: Repo) -> dict[str, tuple[str, str]]:
    """Mode and blob id of each path in the index. Raises UsageError on an unmerged one."""
    entries: dict[str, tuple[str, str]] = {}
    for line in filter(None, repo.git.ls_files("-z", "--stage").split("\0")):
        meta, path = line.split("\t", 1)
        mode, blob, step = meta.split()
        if step != "0":
            raise UsageError(
                f"{path} has an unresolved merge conflict", "Resolve it (or abort the merge) first."
            )
        entries[path] = (mode, blob)
    return entries


def read_file(root: Path, path: str, most: int) -> File | None:
    """A file or link of the working tree; None when nothing of the kind is there.

    Raises EnvironmentFailure when it holds more than `most` bytes or cannot be read.
    """
    full = root / path
    try:
        if through_link(root, path):
            return None
        info = full.lstat()
        if stat.S_ISLNK(info.st_mode):
            return File(path, os.fsencode(os.readlink(full)), "120000")
        if not stat.S_ISREG(info.st_mode):
            return None
        if info.st_size > most:
            raise EnvironmentFailure(
                f"the working tree holds more than {MAX_REPOSITORY_BYTES // MIB} MiB",
                "Ignore large data files in .gitignore.",
            )
        return File(path, full.read_bytes(), "100755" if info.st_mode & 0o100 else "100644")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EnvironmentFailure(f"{full} cannot be read: {error.strerror}") from error


@contextmanager
def only_run(root: Path) -> Iterator[None]:
    """Hold the repository for one run; the lock dies with the process, however it dies.

    Raises EnvironmentFailure when another run holds it.
    """
    from policies.paths import data_root

    folder = data_root() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / f"{key_of(root)}.lock").open("a+")
    except OSError as error:
        raise EnvironmentFailure(
            f"{folder} cannot be written: {error.strerror}",
            "Make it writable, free some disk space, or set APPRENTICE_HOME to another folder.",
        ) from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise EnvironmentFailure(
                f"another run is at work in {root} (process {lock.read().strip() or 'unknown'})",
                "Wait for it, or work in a second clone or worktree.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        if pending(root):
            _recover(root)
        yield


def _recover(root: Path) -> None:
    try:
        with closing(open_repository(root)) as repo:
            recover(root, repo)
    except OSError as error:
        raise EnvironmentFailure(
            f"{error.filename or root} cannot be read or written: {error.strerror}",
            "A run that was killed may have left a patch half applied there: make it writable, "
            f"or remove its note, {note_path(root)}, to leave the files as they are.",
        ) from error
