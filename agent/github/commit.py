"""A patch as a commit on a branch of the remote, with git on a fresh checkout.

Nothing of the checkout is run: the commit is made of plumbing commands on a temporary index, and
the token travels in the environment of one push.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.apply import patch_file, temporary_index
from agent.repository import git_errors
from agent.status import AgentError, EnvironmentFailure

if TYPE_CHECKING:
    from git import Repo

AUTHOR = "apprentice-agent"
EMAIL = "apprentice-agent@users.noreply.github.com"
_PLAIN_MODES = {"100644", "100755", "000000"}


class DoesNotApply(AgentError):
    """The patch does not fit the checkout."""


@dataclass(frozen=True)
class Staged:
    """A tree on top of a commit: its id, and the bytes of each changed file before and after.

    None stands for a file that is not there.
    """

    base: str
    tree: str
    before: Mapping[str, bytes | None]
    after: Mapping[str, bytes | None]


def stage(
    repo: Repo, patch: str, paths: Sequence[str], added: Mapping[str, bytes] | None = None
) -> Staged:
    """Apply a patch to HEAD in an index of our own, and add files.

    `paths` are those that the patch may touch: if it touches another one or anything but plain
    files, or does not apply, DoesNotApply is raised. The checkout and its index stay as they are.
    """
    import git

    base = repo.head.commit.hexsha
    with temporary_index(repo, copy=False) as env:
        with git_errors():
            repo.git.read_tree(base, env=env)
        if patch:
            with patch_file(patch) as name:
                try:
                    repo.git.apply("--cached", "--check", "--whitespace=nowarn", name, env=env)
                    repo.git.apply("--cached", "--whitespace=nowarn", name, env=env)
                except git.GitCommandError as error:
                    said = str(error.stderr).strip().removeprefix("stderr: ").strip("'\n ")
                    raise DoesNotApply(f"the patch does not apply: {said[:300]}") from error
        with git_errors():
            modes = _changed(repo, base, env)
            if sorted(modes) != sorted(paths):
                raise DoesNotApply(f"the patch touches other files than it names: {[*modes][:5]}")
            # Without a mode of its own, a patch takes the one of what stands there.
            if strange := [path for path, both in modes.items() if not both <= _PLAIN_MODES]:
                raise DoesNotApply(f"the patch changes a link or a submodule: {strange[:5]}")
            for path, data in (added or {}).items():
                blob = _write_blob(repo, data)
                repo.git.update_index("--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
            tree = repo.git.write_tree(env=env)
    return Staged(
        base,
        tree,
        {path: blob_of(repo, base, path) for path in paths},
        {path: blob_of(repo, tree, path) for path in paths},
    )


def _changed(repo: Repo, base: str, env: Mapping[str, str]) -> dict[str, set[str]]:
    """The paths in which an index differs from a commit, each with its modes before and after."""
    raw = repo.git.diff_index("--cached", "--raw", "--no-renames", "-z", base, env=dict(env))
    fields = raw.split("\0")
    return {
        path: set(told.removeprefix(":").split(" ")[:2])
        for told, path in zip(fields[::2], fields[1::2], strict=False)
    }


def blob_of(repo: Repo, tree: str, path: str) -> bytes | None:
    """The bytes of a file in a commit or tree; None when there is none."""
    import git

    try:
        data = repo.git.cat_file(
            "blob", f"{tree}:{path}", stdout_as_string=False, strip_newline_in_stdout=False
        )
    except git.GitCommandError:
        return None
    assert isinstance(data, bytes)
    return data


def paths_of(repo: Repo) -> list[str]:
    """All paths of HEAD."""
    with git_errors():
        listed: str = repo.git.ls_tree("-r", "-z", "--name-only", "HEAD")
    return [path for path in listed.split("\0") if path]


def make_commit(repo: Repo, staged: Staged, message: str, when: str) -> str:
    """A commit of a staged tree; its id. The same arguments give the same id.

    `when` is the time that it bears, as git writes it (`SECONDS +0000`).
    """
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", AUTHOR), ("EMAIL", EMAIL), ("DATE", when))
    }
    with git_errors():
        return str(
            repo.git.commit_tree(staged.tree, "-p", staged.base, "-m", message, env=identity)
        )


def push(repo: Repo, commit: str, branch: str, url: str, token: str) -> None:
    """Make a branch of the remote at `url` from a commit. One that stands there is never moved.

    A branch with another commit will do when that has the same tree and parents: it comes from
    another run that found the same fix. Else EnvironmentFailure is raised.
    """
    reference = f"refs/heads/{branch}"
    env = _access(url, token)
    with git_errors("Give the job `contents: write`."), _clean(token):
        there = str(repo.git.ls_remote(url, reference, env=env))
        if there.split("\t")[0] == commit:
            return
        if there:
            options = ("--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
            repo.git.fetch(*options, url, reference, env=env)
            if _content(repo, there.split("\t")[0]) == _content(repo, commit):
                return
            raise EnvironmentFailure(
                f"the branch {branch} is there already, with another commit",
                "Delete it, or take its pull request as it is.",
            )
        repo.git.push("--no-verify", "--no-follow-tags", url, f"{commit}:{reference}", env=env)


def _content(repo: Repo, commit: str) -> list[str]:
    """The tree and the parents of a commit."""
    head = str(repo.git.cat_file("commit", commit)).partition("\n\n")[0]
    return [line for line in head.split("\n") if line.startswith(("tree ", "parent "))]


def _access(url: str, token: str) -> dict[str, str]:
    """The variables that let git reach this one remote, with the token as its password."""
    scheme = url.partition(":")[0]
    settings = {f"protocol.{scheme}.allow": "always", "http.followRedirects": "false"}
    if token and scheme in ("http", "https"):
        secret = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        settings[f"http.{url}.extraheader"] = f"AUTHORIZATION: basic {secret}"
    variables = {
        "GIT_ALLOW_PROTOCOL": scheme,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


@contextmanager
def _clean(token: str) -> Iterator[None]:
    """Keep a token out of what is raised."""
    try:
        yield
    except AgentError as error:
        if token and token in str(error):
            raise EnvironmentFailure(str(error).replace(token, "***"), error.hint) from None
        raise


def _write_blob(repo: Repo, data: bytes) -> str:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="apprentice-") as folder:
        file = Path(folder) / "new"
        file.write_bytes(data)
        return str(repo.git.hash_object("-w", "--no-filters", str(file)))
