"""Where repositories come from: a path, a git URL, or a release on PyPI. Nothing is run.

git is asked for objects only. What was fetched is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.repository import git_errors, open_repository
from agent.status import EnvironmentFailure, UsageError
from agent.tasks.index import MOST_BYTES, release
from policies.hub.files import locked
from policies.paths import data_root
from tools.sandbox.base import MIB, File

if TYPE_CHECKING:
    from git import Repo

PROTOCOLS = "https:http:ssh:git:file"
Mode = Literal["100644", "100755", "120000"]
_PYPI = re.compile(r"pypi:([A-Za-z0-9][\w.-]*)==([\w.!+-]+)")
_OWNER_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_URL = re.compile(r"(https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+")


@dataclass(frozen=True)
class Source:
    """The files of a repository at a commit. `repo` and `commit` find them again."""

    repo: str
    commit: str
    files: tuple[File, ...]
    licence: str = ""


def fetch(repo: str, commit: str | None = None) -> Source:
    """The repository at `commit` (default: HEAD, or the archive that the index has).

    Raises UsageError when `repo` names nothing, EnvironmentFailure when it cannot be reached.
    """
    if pinned := _PYPI.fullmatch(repo):
        archive = release(pinned[1], pinned[2], commit)
        return Source(repo, f"sha256:{archive.digest}", archive.files, archive.licence)
    if repo.startswith("pypi:"):
        raise UsageError(f"{repo}: the version is missing", "Write pypi:NAME==VERSION.")
    with repository(repo, commit) as git:
        return _commit(repo, git, commit)


@contextmanager
def repository(repo: str, commit: str | None = None) -> Iterator[Repo]:
    """The git repository: the one at a path, or a bare clone of a URL that holds `commit`.

    Raises UsageError or EnvironmentFailure.
    """
    path = Path(repo).expanduser()
    if path.exists():
        opened = open_repository(path)
    elif _URL.fullmatch(repo):
        opened = _cloned(repo, commit)
    elif _OWNER_NAME.fullmatch(repo):
        opened = _cloned(f"https://github.com/{repo}", commit)
    else:
        raise UsageError(
            f"{repo}: there is no such folder, and it is no git URL",
            "Give a path, a git URL, or pypi:NAME==VERSION.",
        )
    try:
        yield opened
    finally:
        opened.close()


def _cloned(url: str, commit: str | None) -> Repo:
    """A bare clone, made once and brought up to date when it lacks what is asked for."""
    import git

    from agent.repository import SAFE_GIT

    folder = data_root() / "repositories" / hashlib.sha256(url.encode()).hexdigest()[:16]
    safe = [option for option in SAFE_GIT if not option.startswith("protocol.")]
    command = ["git", *(word for option in safe for word in ("-c", option))]
    hint = "Check the address and the network, or clone it yourself and give the path."
    with locked(folder.with_suffix(".lock")), git_errors(hint):
        program = git.Git(str(folder.parent))
        environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": PROTOCOLS}
        with program.custom_environment(**environment):
            if not folder.exists():
                scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
                shutil.rmtree(scratch, ignore_errors=True)
                program.execute([*command, "clone", "--mirror", "--quiet", "--", url, str(scratch)])
                os.replace(scratch, folder)
            elif not _holds(folder, commit):
                program.execute([*command, "-C", str(folder), "fetch", "--quiet", "--prune"])
        opened = git.Repo(folder)
    opened.git.set_persistent_git_options(c=list(SAFE_GIT))
    return opened


def _holds(folder: Path, commit: str | None) -> bool:
    import git

    if commit is None:
        return False
    try:
        git.Git(str(folder)).rev_parse("--verify", "--end-of-options", f"{commit}^{{commit}}")
    except git.GitCommandError:
        return False
    return True


def _commit(repo: str, git: Repo, commit: str | None) -> Source:
    with git_errors(f"Is {commit} a commit of {repo}?"):
        found = git.git.rev_parse("--verify", "--end-of-options", f"{commit or 'HEAD'}^{{commit}}")
        listed = git.git.ls_tree("-r", "-z", "--full-tree", found)
    files: list[File] = []
    size = 0
    for line in filter(None, listed.split("\0")):
        meta, path = line.split("\t", 1)
        mode, kind, blob = meta.split()
        if kind != "blob":
            raise UsageError(f"{repo} has a submodule ({path}), which is not supported")
        try:
            stream = git.odb.stream(bytes.fromhex(blob))
        except ValueError as error:
            raise EnvironmentFailure(
                f"{repo} lacks the contents of {path}", "Fetch the whole history of the clone."
            ) from error
        size += stream.size
        if size > MOST_BYTES:
            raise UsageError(f"{repo} has more than {MOST_BYTES // MIB} MiB of files")
        data = stream.read()
        files.append(File(path, data, _mode(mode)))
    return Source(repo, found, tuple(files))


def _mode(mode: str) -> Mode:
    if mode == "120000":
        return "120000"
    return "100755" if mode == "100755" else "100644"
