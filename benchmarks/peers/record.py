"""What is kept of a run of a peer: what was run, and one prediction a task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peer import Peer, Question, constraints
from pydantic import BaseModel, ConfigDict

from agent.status import UsageError
from agent.tasks.instance import Instance, write_text

PREDICTIONS, RUN = "predictions.jsonl", "run.json"


class Run(BaseModel):
    """What was run. A folder of predictions belongs to one, which only new tasks may join.

    `tasks` has the SHA-256 of each task's row, by id. `seconds` is the wall limit of a task;
    `argv`, `env` and `files` are what the peer is given, with words in place of the task's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: dict[str, str]
    model: str
    seconds: float
    threads: int | None
    requirement: str
    constraints_sha256: str
    argv: tuple[str, ...]
    env: dict[str, str]
    files: dict[str, str]


def run_of(
    peer: Peer,
    instances: Iterable[Instance],
    *,
    model: str,
    seconds: float,
    threads: int | None,
    context_tokens: int,
) -> Run:
    """The note of a run of these tasks."""
    question = Question("PROMPT", "TESTS", model, "http://ENDPOINT/v1", context_tokens)
    return Run(
        tasks={i.instance_id: _digest(i.line) for i in instances},
        model=model,
        seconds=seconds,
        threads=threads,
        requirement=peer.requirement,
        constraints_sha256=_digest(constraints(peer).read_text(encoding="utf-8")),
        argv=tuple(peer.argv(question)),
        env=dict(peer.env(question)),
        files={name: data.decode() for name, data in peer.files(question).items()},
    )


class Folder:
    """The predictions of a run, by task, which are written whole after each of them."""

    def __init__(self, path: Path, run: Run) -> None:
        """Make the folder, or check that it holds this run. Raises UsageError otherwise."""
        self.path = path
        self.rows: dict[str, Mapping[str, Any]] = {}
        note = path / RUN
        if note.exists():
            before = Run.model_validate_json(note.read_text(encoding="utf-8"))
            if differ := _differences(before, run):
                raise UsageError(
                    f"{path} holds a run with another {', '.join(differ)}",
                    "Name another folder with --out.",
                )
            run = run.model_copy(update={"tasks": before.tasks | run.tasks})
        elif (path / PREDICTIONS).exists():
            raise UsageError(
                f"{path} holds predictions, but no {RUN} that says how they were made",
                "Name another folder with --out.",
            )
        write_text(note, run.model_dump_json(indent=2) + "\n")
        self.rows = {row["instance_id"]: row for row in read_rows(path / PREDICTIONS)}

    def note(self, row: Mapping[str, Any]) -> None:
        """Write the predictions with this one, wholly or not at all. Raises EnvironmentFailure."""
        self.rows[row["instance_id"]] = row
        lines = (json.dumps(row) + "\n" for row in self.rows.values())
        write_text(self.path / PREDICTIONS, "".join(lines))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, none without the file; a cut line is passed over."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "instance_id" in row:
            rows.append(row)
    return rows


def _differences(before: Run, now: Run) -> list[str]:
    """The names of what is not the same; a task counts where both have it."""
    names = [name for name in Run.model_fields if name != "tasks"]
    differ = [name for name in names if getattr(before, name) != getattr(now, name)]
    shared = before.tasks.keys() & now.tasks.keys()
    changed = sorted(task for task in shared if before.tasks[task] != now.tasks[task])
    return differ + [f"text of {task}" for task in changed[:3]]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
