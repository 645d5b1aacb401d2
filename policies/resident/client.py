"""A local model whose engine lives in a process of its own, shared by all that need it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from policies.base import PolicyError
from policies.hub.files import digest
from policies.hub.store import ModelFile
from policies.llamacpp import CONTEXT_TOKENS, PARALLEL, LlamaCppPolicy
from policies.llamaserver import EngineGone, LlamaClient
from policies.resident.record import (
    Place,
    Record,
    Wanted,
    folder,
    open_private,
    take,
    until,
    versions,
)

IDLE_SECONDS = 600.0
_START_SECONDS = 300.0
_LEASE_SECONDS = 10.0
_DEATH_SECONDS = 1.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05


def open_resident(
    model: ModelFile,
    *,
    context_tokens: int = CONTEXT_TOKENS,
    parallel: int = PARALLEL,
    threads: int | None = None,
    adapter: Path | None = None,
    adapter_sha256: str | None = None,
    idle_seconds: float = IDLE_SECONDS,
) -> LlamaCppPolicy:
    """The policy of a resident engine, which is started unless it runs already.

    The engine ends `idle_seconds` after its last client; the one who starts it decides. What the
    policy does is what one with an engine of its own does. Raises PolicyError.
    """

    def start(
        path: Path, cells: int, parallel: int, threads: int, adapter: Path | None
    ) -> LlamaClient:
        return ResidentEngine(
            Wanted(
                name=model.name,
                model=str(path.resolve()),
                sha256=model.sha256,
                adapter=str(adapter.resolve()) if adapter else None,
                adapter_sha256=digest(adapter) if adapter else "",
                cells=cells,
                parallel=parallel,
                threads=threads,
                versions=versions(),
                idle_seconds=idle_seconds,
            )
        )

    return LlamaCppPolicy(
        model,
        context_tokens=context_tokens,
        parallel=parallel,
        threads=threads,
        adapter=adapter,
        adapter_sha256=adapter_sha256,
        start=start,
    )


class ResidentEngine(LlamaClient):
    """A client that keeps an engine of another process alive while it is open.

    When that process dies, another is started and the request is made once more.
    """

    def __init__(self, wanted: Wanted) -> None:
        """Find the engine or start it. Raises PolicyError."""
        self._wanted = wanted
        self._place = Place(wanted.key)
        self._attach()

    def post(self, path: str, body: dict[str, Any], on_poll: Any = None) -> Any:
        """As `LlamaClient.post`."""
        try:
            return super().post(path, body, on_poll)
        except EngineGone:
            if not until(lambda: not self._place.served(), _DEATH_SECONDS):
                raise
            self.close()
            self._attach()
            return super().post(path, body, on_poll)

    def close(self) -> None:
        """Need the engine no longer. Safe to call twice."""
        super().close()
        self._lease.close()

    def _attach(self) -> None:
        self._lease = _lease(self._place)
        try:
            record = _started(self._wanted, self._place)
        except BaseException:
            self._lease.close()
            raise
        super().__init__(record.host, record.port, record.secret)


def running() -> list[Record]:
    """The engines that are there for others, oldest first."""
    records = []
    for path in folder().glob("*.json"):
        place = Place(path.stem)
        if place.served() and (record := place.read()) is not None:
            records.append(record)
    return sorted(records, key=lambda record: record.since)


def in_use(record: Record) -> bool:
    """Whether a client is connected."""
    return Place(record.wanted.key).leased()


def stop(record: Record) -> None:
    """End a server; what its clients still ask for, they ask of the next. Raises PolicyError."""
    place = Place(record.wanted.key)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not place.served():
            return
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            raise PolicyError(f"process {record.pid} is another user's.") from error
        if until(lambda: not place.served(), _STOP_SECONDS):
            return
    raise PolicyError(f"the server of {record.wanted.name} (process {record.pid}) does not end.")


def _lease(place: Place) -> IO[bytes]:
    """The right to expect the server to stay. One that is just ending is waited for."""
    file = open_private(place.lease)
    if not take(file, fcntl.LOCK_SH, _LEASE_SECONDS):
        file.close()
        raise PolicyError(f"{place.lease} stays locked: run `agent models serve --stop`.")
    os.utime(place.lease)
    return file


def _started(wanted: Wanted, place: Place) -> Record:
    """The record of a server that answers. Several may wait here; one server gets to load."""
    child: subprocess.Popen[bytes] | None = None
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if place.served():
            record = place.read()
            if record and LlamaClient(record.host, record.port, record.secret).answers():
                if child is not None:
                    child.returncode = 0  # It is to outlive us: nobody waits for it.
                return record
        elif child is None:
            _stop_older(wanted)
            child = _spawn(wanted, place)
        elif child.poll() is not None and not place.served():
            said = _said(place)
            if child.returncode or said:
                raise PolicyError(said[-1000:] or f"the engine ended with {child.returncode}.")
            child = None
        time.sleep(_POLL_SECONDS)
    raise PolicyError(
        f"the server of {wanted.name} does not answer: run `agent models serve --stop`."
    )


def _said(place: Place) -> str:
    """What the server has said; nothing when another client has begun its log anew."""
    try:
        return place.log.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


def _spawn(wanted: Wanted, place: Place) -> subprocess.Popen[bytes]:
    """A server that outlives us and holds nothing of ours: no folder, no terminal, no pipe."""
    place.log.unlink(missing_ok=True)
    with open_private(place.log) as log:
        # Without -P the folder that we are in, somebody's repository, would be imported from.
        command = [sys.executable, "-P", "-m", "policies.resident.server"]
        return subprocess.Popen(
            [*command, wanted.model_dump_json()],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def _stop_older(wanted: Wanted) -> None:
    """End what another version of this package has left, unless somebody uses it."""
    for record in running():
        same = record.wanted.sha256 == wanted.sha256
        if same and record.wanted.versions != wanted.versions and not in_use(record):
            stop(record)
