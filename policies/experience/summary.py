"""Trajectories at a glance, for lists."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise, takewhile
from typing import Any

from policies.base import Frozen
from policies.experience.identity import alive

_MIN_SHORT_ID = 8

_SUMMARY = """
SELECT t.id, t.started, t.repository, t.issue, t.model, t.status, t.exit_code, t.ended,
       t.pid, t.boot, count(e.seq), count(DISTINCT json_extract(e.body, '$.attempt')),
       coalesce(sum(json_extract(e.body, '$.usage.prompt')), 0),
       coalesce(sum(json_extract(e.body, '$.usage.completion')), 0),
       max(e.at),
       max(CASE WHEN e.kind = 'finished' THEN json_extract(e.body, '$.seconds') END),
       max(CASE WHEN e.kind = 'finished' THEN json_extract(e.body, '$.prompt_tokens') END),
       max(CASE WHEN e.kind = 'finished' THEN json_extract(e.body, '$.completion_tokens') END)
FROM trajectories t LEFT JOIN events e ON e.trajectory_id = t.id
WHERE t.id IN (SELECT id FROM trajectories
               WHERE ?1 IS NULL OR repository = ?1
                     OR substr(repository, -length(?1) - 1) = '/' || ?1
               ORDER BY id DESC LIMIT ?2)
GROUP BY t.id ORDER BY t.id DESC
"""


class Summary(Frozen):
    """One trajectory at a glance.

    `status` is the one it finished with, else "running" or, when its process is gone,
    "interrupted". `seconds` of an unfinished one counts up to its last event.
    """

    id: str
    short: str
    started: datetime
    ended: datetime | None
    repository: str
    issue: str
    model: str
    status: str
    exit_code: int | None
    events: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


def summaries(db: sqlite3.Connection, limit: int, repository: str | None) -> list[Summary]:
    """The latest trajectories, newest first; see `Store.trajectories`."""
    rows = db.execute(_SUMMARY, (repository, limit)).fetchall()
    names = [name for (name,) in db.execute("SELECT id FROM trajectories ORDER BY id")]
    short = _short_ids(names)
    return [_summary(row, short.get(row[0], row[0])) for row in rows]


def status(db: sqlite3.Connection, trajectory_id: str) -> str | None:
    """How a trajectory stands, as in `Summary.status`; None when there is no such one."""
    query = "SELECT status, pid, boot FROM trajectories WHERE id = ?"
    row = db.execute(query, (trajectory_id,)).fetchone()
    return _status(*row) if row else None


def _status(final: str | None, pid: int | None, boot: str) -> str:
    if final is not None:
        return final
    return "running" if pid is not None and alive(pid, boot) else "interrupted"


def _short_ids(names: Iterable[str]) -> dict[str, str]:
    """The shortest beginning that sets each of the sorted `names` apart from the others."""
    ordered = list(names)
    if not ordered:
        return {}
    shared = [_shared(one, other) for one, other in pairwise(ordered)]
    return {
        name: name[: max(_MIN_SHORT_ID, before + 1, after + 1)]
        for name, before, after in zip(ordered, [-1, *shared], [*shared, -1], strict=True)
    }


def _shared(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _summary(row: tuple[Any, ...], short: str) -> Summary:
    name, started, repository, issue, model, final, exit_code, ended, pid, boot = row[:10]
    events, attempts, prompt, completion, last, seconds, all_prompt, all_completion = row[10:]
    begun = datetime.fromisoformat(started)
    latest = datetime.fromisoformat(last) if last else begun
    return Summary(
        id=name,
        short=short,
        started=begun,
        ended=datetime.fromisoformat(ended) if ended else None,
        repository=repository,
        issue=issue,
        model=model,
        status=_status(final, pid, boot),
        exit_code=int(exit_code) if exit_code is not None else None,
        events=int(events),
        attempts=int(attempts),
        prompt_tokens=int(all_prompt if all_prompt is not None else prompt),
        completion_tokens=int(all_completion if all_completion is not None else completion),
        seconds=float(seconds) if seconds is not None else (latest - begun).total_seconds(),
    )
