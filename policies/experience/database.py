"""The database file of the experience store: where it lies, its schema, and its errors."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from policies.paths import data_root

STORE_VERSION = 1
_APPLICATION_ID = 0x41505052

_SCHEMA = (
    """CREATE TABLE trajectories (
        id TEXT PRIMARY KEY,
        started TEXT NOT NULL,
        repository TEXT NOT NULL DEFAULT '',
        issue TEXT NOT NULL DEFAULT '',
        model TEXT NOT NULL DEFAULT '',
        status TEXT,
        exit_code INTEGER,
        ended TEXT,
        pid INTEGER,
        boot TEXT NOT NULL
    )""",
    """CREATE TABLE events (
        trajectory_id TEXT NOT NULL REFERENCES trajectories(id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        at TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (trajectory_id, seq)
    )""",
    "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, zstd BLOB NOT NULL)",
    "CREATE INDEX trajectories_repository ON trajectories(repository)",
)

MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {}
"""From a store version to the function that brings a database of it one version forward."""


class StoreError(Exception):
    """The store cannot be opened, read or written. The message says what to do next."""


class UnknownTrajectoryError(StoreError):
    """A name stands for no trajectory, or for several."""


def default_path() -> Path:
    """Where the user's store lies: in the user's data folder."""
    return data_root() / "experience.db"


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    """Open the database at `path`, made or brought to this version where needed.

    Transactions are begun and ended by hand. The connection may be shared by threads that lock.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        with explained(path):
            _prepare(db, path, timeout)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing: on disk when it ends, rolled back when it raises."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _prepare(db: sqlite3.Connection, path: Path, timeout: float) -> None:
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")
    if _version(db, path) < STORE_VERSION:
        _use_wal(db, timeout)
        with transaction(db):
            _migrate(db, _version(db, path))


def _version(db: sqlite3.Connection, path: Path) -> int:
    # The application's id comes last: another process may be making the tables at this moment.
    tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    if (version or tables) and application != _APPLICATION_ID:
        raise StoreError(
            f"{path} is the database of another program and was left as it is: "
            "choose another place with APPRENTICE_HOME"
        )
    if version > STORE_VERSION:
        raise StoreError(
            f"{path} has store version {version}, this apprentice reads up to {STORE_VERSION}: "
            "upgrade apprentice-agent, or choose another place with APPRENTICE_HOME"
        )
    return version


def _use_wal(db: sqlite3.Connection, timeout: float) -> None:
    """SQLite does not wait for other processes when it changes the journal mode."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _migrate(db: sqlite3.Connection, version: int) -> None:
    if version == 0:
        for statement in _SCHEMA:
            db.execute(statement)
    for step in range(version, STORE_VERSION) if version else ():
        MIGRATIONS[step](db)
    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {STORE_VERSION}")


def _is_busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_NEXT_STEP = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space and try again",
    sqlite3.SQLITE_IOERR: "the disk refused it: check free space, quota and file-size limits",
    sqlite3.SQLITE_READONLY: "it is read-only: make it writable or set APPRENTICE_HOME",
    sqlite3.SQLITE_CANTOPEN: "its directory cannot be written: fix that or set APPRENTICE_HOME",
    sqlite3.SQLITE_PERM: "permission is denied: fix that or set APPRENTICE_HOME",
    sqlite3.SQLITE_NOTADB: "it is not a database, or damaged, and was left as it is: restore a "
    "backup, or move it aside to start anew",
    sqlite3.SQLITE_CORRUPT: "it is damaged and was left as it is: restore a backup, or move it "
    "aside to start anew",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system into a StoreError with the next step."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        advice = _NEXT_STEP.get(code, "this should not happen: please report it")
        if _is_busy(error):
            advice = "other processes keep it busy: wait for them and try again"
        raise StoreError(f"{path}: {error}; {advice}") from error
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}; make that directory writable or set APPRENTICE_HOME"
        ) from error
