"""The experience store: every event of every trajectory, in one SQLite database per user.

An event is on disk when `Writer.append` returns. Any number of processes may write at once.
A store that cannot be read is reported and left as it is.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from policies.experience.codec import CodecError, decode
from policies.experience.database import (
    StoreError,
    UnknownTrajectoryError,
    connect,
    default_path,
    explained,
    transaction,
)
from policies.experience.events import Event, Feedback
from policies.experience.identity import is_id, new_id, process_mark
from policies.experience.rows import insert, make_row, next_seq, stamp
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
        row = make_row(event)
        with self._lock:
            with self._store._transaction() as db:
                insert(db, self.id, self._seq, row)
            self._seq += 1

    def close(self) -> None:
        """Say that nothing more will come; an unfinished trajectory is then "interrupted"."""
        with self._store._transaction() as db:
            db.execute("UPDATE trajectories SET pid = NULL WHERE id = ?", (self.id,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Where it cannot be written, the end of this process says the same.
        with suppress(StoreError):
            self.close()


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
                (name, stamp(datetime.now(UTC)), pid, process_mark(pid)),
            )
        return Writer(self, name)

    def add_feedback(self, trajectory_id: str, feedback: Feedback) -> None:
        """Add what became of a trajectory's patch. The run must have come to an end."""
        row = make_row(feedback)
        with self._transaction() as db:
            if self.status(trajectory_id) == "running":
                raise _running(trajectory_id)
            insert(db, trajectory_id, next_seq(db, trajectory_id), row)

    def adopt(self, trajectory_id: str, events: Iterable[Event]) -> int:
        """Take over a trajectory of another store; how many events of it were new.

        `events` are all that the other store has of it. What is here already is kept, and feedback
        of both is joined. All is on disk when this returns, or nothing. Raises StoreError for what
        is no id, and when the id is another trajectory's here or one that is still running.
        """
        if not is_id(trajectory_id):
            raise StoreError(f"{trajectory_id!r} is no id of a trajectory")
        given = list(events)  # before the transaction: reading them may take another one
        with self._transaction() as db:
            if status(db, trajectory_id) == "running":
                raise _running(trajectory_id)
            known = list(self._read(trajectory_id))
            run, theirs = ([e for e in of if not isinstance(e, Feedback)] for of in (known, given))
            shared = min(len(run), len(theirs))
            if any(
                one.model_dump_json() != other.model_dump_json()
                for one, other in zip(run, theirs, strict=False)
            ):
                raise StoreError(
                    f"{trajectory_id} is another trajectory here: it was not taken over"
                )
            told = [e for e in given if isinstance(e, Feedback) and e not in known]
            rows = [make_row(event) for event in (*theirs[shared:], *told)]
            db.execute(
                "INSERT OR IGNORE INTO trajectories (id, started, boot) VALUES (?, ?, '')",
                (trajectory_id, stamp(datetime.now(UTC))),
            )
            first = next_seq(db, trajectory_id)
            for seq, row in enumerate(rows, first):
                insert(db, trajectory_id, seq, row)
        return len(rows)

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


def _running(trajectory_id: str) -> StoreError:
    return StoreError(f"{trajectory_id} is still running: wait for its end")


def _unknown(name: str) -> UnknownTrajectoryError:
    return UnknownTrajectoryError(
        f"no trajectory is called {name!r}: `agent experience list` shows those there are"
    )
