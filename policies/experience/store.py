"""The experience store: every event of every trajectory, in one SQLite database per user.

An event is on disk when `Writer.append` returns. Any number of processes may write at once.
A store that cannot be read is reported and left as it is.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from policies.experience.codec import EVENT_TYPES, CodecError, decode, encode
from policies.experience.database import (
    StoreError,
    UnknownTrajectoryError,
    connect,
    default_path,
    explained,
    transaction,
)
from policies.experience.events import SCHEMA_VERSION, Event, Finished, TaskStarted
from policies.experience.identity import new_id, process_mark
from policies.experience.summary import Summary, status, summaries

__all__ = ["Store", "StoreError", "Summary", "UnknownTrajectoryError", "Writer", "default_path"]

_PAGE_OF_EVENTS = 256


class Writer:
    """Appends the events of one trajectory. Made by `Store.begin`; safe to share by threads."""

    def __init__(self, store: Store, trajectory_id: str) -> None:
        self.id = trajectory_id
        self._store = store
        self._lock = threading.Lock()
        self._seq = 0

    def append(self, event: Event) -> None:
        """Write an event; it is on disk when this returns.

        On a StoreError nothing was acknowledged, and the same or another event may be
        appended in its place.
        """
        if not isinstance(event, EVENT_TYPES):
            raise TypeError(f"append takes an event, not a {type(event).__name__}")
        if event.v != SCHEMA_VERSION:
            raise ValueError(f"events are written in version {SCHEMA_VERSION}, not {event.v}")
        try:
            body, blobs = encode(event)
        except CodecError as error:
            raise StoreError(f"{error}: append plain JSON values only") from error
        rows = _compressed(blobs)
        with self._lock:
            with self._store._transaction() as db:
                db.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?)", rows)
                # A commit that was reported as failed may still have reached the disk: the
                # event in its place replaces it.
                db.execute(
                    "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)",
                    (self.id, self._seq, event.kind, _stamp(event.at), body),
                )
                self._describe(db, event)
            self._seq += 1

    def _describe(self, db: sqlite3.Connection, event: Event) -> None:
        if isinstance(event, TaskStarted):
            db.execute(
                "UPDATE trajectories SET started = ?, repository = ?, issue = ?, model = ? "
                "WHERE id = ?",
                (
                    _stamp(event.at),
                    _text(event.repository),
                    _headline(event.issue),
                    _text(event.policy_version),
                    self.id,
                ),
            )
        elif isinstance(event, Finished):
            db.execute(
                "UPDATE trajectories SET status = ?, exit_code = ?, ended = ? WHERE id = ?",
                (_text(event.status), event.exit_code, _stamp(event.at), self.id),
            )

    def close(self) -> None:
        """Say that nothing more will come; an unfinished trajectory is then "interrupted"."""
        with self._store._transaction() as db:
            db.execute("UPDATE trajectories SET pid = NULL WHERE id = ?", (self.id,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except StoreError:
            if error is None:
                raise


class Store:
    """A user's trajectories. Open it with `Store.open`, use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self._lock = threading.RLock()
        self._pid = os.getpid()

    @classmethod
    def open(cls, path: Path | None = None, timeout: float = 10.0) -> Self:
        """Open the store at `path` (default: `default_path()`), making it if there is none.

        `timeout` is how many seconds to wait for other processes' writes.
        """
        path = path or default_path()
        return cls(path, connect(path, timeout))

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self) -> Writer:
        """Start a trajectory of this process."""
        name, pid = new_id(), os.getpid()
        with self._transaction() as db:
            db.execute(
                "INSERT INTO trajectories (id, started, pid, boot) VALUES (?, ?, ?, ?)",
                (name, _stamp(datetime.now(UTC)), pid, process_mark(pid)),
            )
        return Writer(self, name)

    def trajectories(self, limit: int = 20, repository: str | None = None) -> list[Summary]:
        """The latest trajectories, newest first; `limit` below 0 means all.

        `repository` is a whole name or path, or its last parts.
        """
        with self._reading() as db:
            return summaries(db, limit, repository)

    def status(self, trajectory_id: str) -> str:
        """How a trajectory stands: see `Summary.status`."""
        with self._reading() as db:
            found = status(db, trajectory_id)
        if found is None:
            raise _unknown(trajectory_id)
        return found

    def events(self, trajectory_id: str) -> Iterator[Event]:
        """The events of a trajectory in order, read as they are asked for."""
        self.status(trajectory_id)
        return self._read(trajectory_id)

    def _read(self, trajectory_id: str) -> Iterator[Event]:
        after = -1
        while True:
            with self._reading() as db:
                rows = db.execute(
                    "SELECT seq, body FROM events WHERE trajectory_id = ? AND seq > ? "
                    "ORDER BY seq LIMIT ?",
                    (trajectory_id, after, _PAGE_OF_EVENTS),
                ).fetchall()
            if not rows:
                return
            for after, body in rows:
                try:
                    event = decode(body, self._blob)
                except CodecError as error:
                    raise StoreError(f"{self.path}, {trajectory_id}, event {after}: {error}") from (
                        error
                    )
                yield event

    def _blob(self, digest: str) -> bytes:
        import zstandard

        with self._reading() as db:
            row = db.execute("SELECT zstd FROM blobs WHERE sha256 = ?", (digest,)).fetchone()
        try:
            raw = zstandard.ZstdDecompressor().decompress(row[0]) if row else b""
        except zstandard.ZstdError:
            raw = b""
        if hashlib.sha256(raw).hexdigest() != digest:
            raise StoreError(
                f"{self.path}: the blob {digest} is missing or damaged. The file was left as it "
                "is: restore a backup, or move it aside to start anew"
            )
        return raw

    def resolve(self, name: str) -> str:
        """The id that `name` stands for: an id, the beginning of just one id, or "last"."""
        prefix = name.strip().lower()
        with self._reading() as db:
            if prefix == "last":
                query = "SELECT id FROM trajectories ORDER BY id DESC LIMIT 1"
                found = [row[0] for row in db.execute(query)]
            else:
                query = "SELECT id FROM trajectories WHERE substr(id, 1, ?) = ? ORDER BY id"
                found = [row[0] for row in db.execute(query, (len(prefix), prefix))]
        if not found or not prefix:
            raise _unknown(name)
        if len(found) > 1:
            shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
            raise UnknownTrajectoryError(
                f"{name!r} begins {len(found)} trajectories ({shown}): give more of the id"
            )
        return str(found[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if os.getpid() != self._pid:
            raise StoreError(f"{self.path} was opened before a fork: open it in each process")
        with self._lock, explained(self.path):
            yield self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db, transaction(db):
            yield db


def _unknown(name: str) -> UnknownTrajectoryError:
    return UnknownTrajectoryError(
        f"no trajectory is called {name!r}: `agent experience list` shows those there are"
    )


def _compressed(blobs: dict[str, bytes]) -> list[tuple[str, bytes]]:
    if not blobs:
        return []
    import zstandard

    compressor = zstandard.ZstdCompressor()
    return [(digest, compressor.compress(raw)) for digest, raw in blobs.items()]


def _headline(issue: str) -> str:
    lines = issue.strip().splitlines()
    return _text(lines[0].strip()[:200]) if lines else ""


def _stamp(at: datetime) -> str:
    """A time that sorts as text; a naive one counts as UTC."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds")


def _text(text: str) -> str:
    """Text that SQLite can hold, for the columns of the overview."""
    return text.encode("utf-8", "replace").decode("utf-8")
