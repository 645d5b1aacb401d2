"""Events as rows of the database."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import NamedTuple

from policies.experience.codec import EVENT_TYPES, CodecError, encode
from policies.experience.database import StoreError
from policies.experience.events import SCHEMA_VERSION, Event, Finished, TaskStarted


class Row(NamedTuple):
    """An event, ready to be written: its JSON, and its compressed blobs by digest."""

    event: Event
    body: str
    blobs: list[tuple[str, bytes]]


def make_row(event: Event) -> Row:
    """The row of an event. Raises StoreError when it cannot be written."""
    if not isinstance(event, EVENT_TYPES):
        raise TypeError(f"append takes an event, not a {type(event).__name__}")
    if event.v != SCHEMA_VERSION:
        raise ValueError(f"events are written in version {SCHEMA_VERSION}, not {event.v}")
    try:
        body, blobs = encode(event)
    except CodecError as error:
        raise StoreError(f"{error}: append plain JSON values only") from error
    return Row(event, body, _compressed(blobs))


def insert(db: sqlite3.Connection, trajectory_id: str, seq: int, row: Row) -> None:
    """Write a row as number `seq` of a trajectory, and what it says to the overview."""
    event = row.event
    db.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?)", row.blobs)
    # A commit that was reported as failed may still have reached the disk: the event in its
    # place replaces it.
    db.execute(
        "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)",
        (trajectory_id, seq, event.kind, stamp(event.at), row.body),
    )
    if isinstance(event, TaskStarted):
        db.execute(
            "UPDATE trajectories SET started = ?, repository = ?, issue = ?, model = ? "
            "WHERE id = ?",
            (
                stamp(event.at),
                _text(event.repository),
                _headline(event.issue),
                _text(event.policy_version),
                trajectory_id,
            ),
        )
    elif isinstance(event, Finished):
        db.execute(
            "UPDATE trajectories SET status = ?, exit_code = ?, ended = ? WHERE id = ?",
            (_text(event.status), event.exit_code, stamp(event.at), trajectory_id),
        )


def next_seq(db: sqlite3.Connection, trajectory_id: str) -> int:
    """The number that the next event of a trajectory has."""
    query = "SELECT coalesce(max(seq) + 1, 0) FROM events WHERE trajectory_id = ?"
    return int(db.execute(query, (trajectory_id,)).fetchone()[0])


def stamp(at: datetime) -> str:
    """A time that sorts as text; a naive one counts as UTC."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds")


def _compressed(blobs: dict[str, bytes]) -> list[tuple[str, bytes]]:
    if not blobs:
        return []
    import zstandard

    compressor = zstandard.ZstdCompressor()
    return [(digest, compressor.compress(raw)) for digest, raw in blobs.items()]


def _headline(issue: str) -> str:
    lines = issue.strip().splitlines()
    return _text(lines[0].strip()[:200]) if lines else ""


def _text(text: str) -> str:
    """Text that SQLite can hold, for the columns of the overview."""
    return text.encode("utf-8", "replace").decode("utf-8")
