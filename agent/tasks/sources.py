"""Where repositories come from: a path, a git URL, or a source archive of PyPI. Nothing is run.

git is asked for objects only; archives are read in memory. What was fetched is kept.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from agent.repository import git_errors, open_repository
from agent.status import EnvironmentFailure, UsageError
from policies.hub.files import locked
from policies.paths import data_root
from tools.sandbox.base import MIB, File

if TYPE_CHECKING:
    import httpx
    from git import Repo

DEFAULT_INDEX = "https://pypi.org/simple"
JSON_INDEX = "application/vnd.pypi.simple.v1+json"
MOST_BYTES = 256 * MIB
FETCH_SECONDS = 60.0
PROTOCOLS = "https:http:ssh:git:file"
Mode = Literal["100644", "100755", "120000"]
_PYPI = re.compile(r"pypi:([A-Za-z0-9][\w.-]*)==([\w.!+-]+)")
_OWNER_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_URL = re.compile(r"(https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+")
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_OUT = re.compile(r"(^|/)([^/]+\.egg-info|\.git)/|^PKG-INFO$")


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
        return _archive(repo, pinned[1], pinned[2], commit)
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


def _archive(repo: str, name: str, version: str, commit: str | None) -> Source:
    wanted = None
    if commit is not None:
        match = _SHA256.fullmatch(commit)
        if match is None:
            raise UsageError(f"{repo}: {commit!r} is no digest of an archive (sha256:…)")
        wanted = match[1]
    data = _kept(wanted) if wanted else None
    if data is None:
        data = _downloaded(name, version, wanted)
    digest = hashlib.sha256(data).hexdigest()
    try:
        files, licence = _unpacked(data)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise EnvironmentFailure(f"{repo}: the source archive cannot be read: {error}") from error
    return Source(repo, f"sha256:{digest}", files, licence)


def _kept(digest: str) -> bytes | None:
    try:
        data = (data_root() / "sources" / f"{digest}.tar.gz").read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == digest else None


def _downloaded(name: str, version: str, wanted: str | None) -> bytes:
    """The source archive of a version, by the index's JSON form (PEP 691), digest checked."""
    import httpx

    index = os.environ.get("PIP_INDEX_URL", DEFAULT_INDEX).rstrip("/")
    try:
        with httpx.Client(timeout=FETCH_SECONDS, follow_redirects=True) as client:
            page = client.get(f"{index}/{name}/", headers={"Accept": JSON_INDEX})
            page.raise_for_status()
            file = _source_archive(page.json(), name, version)
            data = _body(client, str(page.url.join(file["url"])))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise EnvironmentFailure(
            f"{name} {version} cannot be fetched from the package index: {error}",
            "Check the name and the network; PIP_INDEX_URL names another index.",
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != (wanted or file["hashes"].get("sha256", digest)):
        raise EnvironmentFailure(
            f"{file['filename']} has the digest {digest}, not the expected one"
        )
    folder = data_root() / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{digest}.{os.getpid()}"
    scratch.write_bytes(data)
    os.replace(scratch, folder / f"{digest}.tar.gz")
    return data


def _body(client: httpx.Client, url: str) -> bytes:
    data = bytearray()
    with client.stream("GET", url) as reply:
        for piece in reply.raise_for_status().iter_bytes():
            data += piece
            if len(data) > MOST_BYTES:
                raise ValueError(f"it is larger than {MOST_BYTES // MIB} MiB")
    return bytes(data)


def _source_archive(page: Any, name: str, version: str) -> dict[str, Any]:
    normal = re.sub(r"[-_.]+", "[-_.]+", re.escape(name).replace(r"\-", "-").replace(r"\.", "."))
    pattern = re.compile(rf"{normal}-{re.escape(version)}\.tar\.gz", re.IGNORECASE)
    for file in page["files"]:
        if pattern.fullmatch(file["filename"]):
            return dict(file)
    raise KeyError(f"there is no source archive (.tar.gz) of version {version}")


def _unpacked(data: bytes) -> tuple[tuple[File, ...], str]:
    """Files below the archive's only folder, without build metadata, and the licence."""
    files: dict[str, File] = {}
    licence = ""
    size = 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            relative = "/".join(path.parts[1:])
            if path.is_absolute() or ".." in path.parts or not relative or not member.isreg():
                continue
            size += member.size
            if size > MOST_BYTES:
                raise tarfile.TarError(f"it holds more than {MOST_BYTES // MIB} MiB")
            stream = archive.extractfile(member)
            content = stream.read() if stream else b""
            if relative == "PKG-INFO":
                licence = _licence(content)
            if not _OUT.search(relative):
                mode: Mode = "100755" if member.mode & 0o100 else "100644"
                files[relative] = File(relative, content, mode)
    return tuple(file for _, file in sorted(files.items())), licence


def _licence(metadata: bytes) -> str:
    """The licence that a package declares: an expression, a classifier, or the first line."""
    message = BytesParser().parsebytes(metadata, headersonly=True)
    if expression := message.get("License-Expression"):
        return str(expression)
    for classifier in message.get_all("Classifier", []):
        if classifier.startswith("License :: OSI Approved :: "):
            return str(classifier).rpartition(" :: ")[2]
    declared = str(message.get("License") or "").strip().splitlines()
    return declared[0][:80] if declared else ""
