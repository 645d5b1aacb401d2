"""The package index: which releases it has, and their source archives. Nothing of them is run.

Archives are read in memory, and what was fetched is kept by its digest.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from packaging.version import InvalidVersion, Version

from agent.status import EnvironmentFailure, UsageError
from policies.paths import data_root
from tools.sandbox.base import MIB, File

if TYPE_CHECKING:
    import httpx

DEFAULT_INDEX = "https://pypi.org/simple"
JSON_INDEX = "application/vnd.pypi.simple.v1+json"
MOST_BYTES = 256 * MIB
FETCH_SECONDS = 60.0
Mode = Literal["100644", "100755"]
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_OUT = re.compile(r"(^|/)([^/]+\.egg-info/|\.git(/|$))|^PKG-INFO$")


@dataclass(frozen=True)
class Release:
    """A release that has a source archive. `commit` is the archive's digest: `sha256:…`."""

    version: str
    commit: str


@dataclass(frozen=True)
class Archive:
    """What a source archive holds. `digest` is its SHA-256, in hexadecimal."""

    digest: str
    files: tuple[File, ...]
    licence: str


def releases(name: str) -> list[Release]:
    """The final releases of a package that have a source archive, oldest first.

    Those that were withdrawn are left out. Raises EnvironmentFailure.
    """
    found: dict[Version, Release] = {}
    with _index(name) as (_, page):
        for text, file in _source_archives(page.json(), name):
            try:
                version = Version(text)
            except InvalidVersion:
                continue
            digest = file["hashes"].get("sha256")
            if digest and not (version.is_prerelease or version.epoch or file.get("yanked")):
                found[version] = Release(text, f"sha256:{digest}")
    return [found[version] for version in sorted(found)]


def release(name: str, version: str, commit: str | None = None) -> Archive:
    """The source archive of a version: the one with the digest `commit` (sha256:…), if given.

    Raises UsageError when that is no digest, EnvironmentFailure when there is no such archive.
    """
    wanted = None
    if commit is not None:
        match = _SHA256.fullmatch(commit)
        if match is None:
            raise UsageError(f"{name} {version}: {commit!r} is no digest of an archive (sha256:…)")
        wanted = match[1]
    data = _kept(wanted) if wanted else None
    if data is None:
        data = _downloaded(name, version, wanted)
    digest = hashlib.sha256(data).hexdigest()
    try:
        files, licence = _unpacked(data)
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise EnvironmentFailure(
            f"{name} {version}: the source archive cannot be read: {error}"
        ) from error
    return Archive(digest, files, licence)


def _kept(digest: str) -> bytes | None:
    try:
        data = (data_root() / "sources" / f"{digest}.tar.gz").read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == digest else None


def _downloaded(name: str, version: str, wanted: str | None) -> bytes:
    """The source archive of a version, its digest checked."""
    with _index(f"{name} {version}") as (client, page):
        file = _source_archive(page.json(), name, version)
        data = _body(client, str(page.url.join(file["url"])))
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


@contextmanager
def _index(package: str) -> Iterator[tuple[httpx.Client, httpx.Response]]:
    """The index's page of a package ("NAME" or "NAME VERSION"), in its JSON form (PEP 691).

    Raises EnvironmentFailure when it, or what it leads to, cannot be had.
    """
    import httpx

    index = os.environ.get("PIP_INDEX_URL", DEFAULT_INDEX).rstrip("/")
    try:
        with httpx.Client(timeout=FETCH_SECONDS, follow_redirects=True) as client:
            url = f"{index}/{package.partition(' ')[0]}/"
            page = client.get(url, headers={"Accept": JSON_INDEX})
            yield client, page.raise_for_status()
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise EnvironmentFailure(
            f"{package} cannot be fetched from the package index: {error}",
            "Check the name and the network; PIP_INDEX_URL names another index.",
        ) from error


def _body(client: httpx.Client, url: str) -> bytes:
    data = bytearray()
    with client.stream("GET", url) as reply:
        for piece in reply.raise_for_status().iter_bytes():
            data += piece
            if len(data) > MOST_BYTES:
                raise ValueError(f"it is larger than {MOST_BYTES // MIB} MiB")
    return bytes(data)


def _source_archive(page: Any, name: str, version: str) -> dict[str, Any]:
    for found, file in _source_archives(page, name):
        if found.lower() == version.lower():
            return file
    raise KeyError(f"there is no source archive (.tar.gz) of version {version}")


def _source_archives(page: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The source archives of a package on its page, each with the version in its file name."""
    normal = re.sub(r"[-_.]+", "[-_.]+", re.escape(name).replace(r"\-", "-").replace(r"\.", "."))
    pattern = re.compile(rf"{normal}-(.+)\.tar\.gz", re.IGNORECASE)
    for file in page["files"]:
        if match := pattern.fullmatch(file["filename"]):
            yield match[1], dict(file)


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
