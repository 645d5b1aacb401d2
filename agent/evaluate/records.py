"""The records of an evaluation: what is evaluated, and rows written down as they come."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.config import Settings
from agent.evaluate.results import Result
from agent.evaluate.sample import Prediction
from agent.status import Status, UsageError
from agent.tasks.instance import BadRow, Instance, Variant, write_text
from agent.tasks.journal import Journal
from agent.workers.folder import held

SAMPLES, RESULTS = "samples.jsonl", "results.jsonl"
NO_PREDICTION = "no prediction"


class Plan(BaseModel):
    """What is evaluated. A folder of results belongs to one plan.

    `predictions_sha256` is of the given predictions, '' when the agent makes them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks_sha256: str
    predictions_sha256: str = ""
    model: str
    variant: Variant
    samples: int
    settings: Settings


class Folder:
    """The records of an evaluation: one line per event, so that a killed run goes on."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.samples = Journal(path / SAMPLES, Prediction)
        self.scores = Journal(path / RESULTS, Result)

    def open(self) -> AbstractContextManager[None]:
        """Hold the folder for a run: it is made, or holds this evaluation. Raises AgentError."""
        return held(self.path, self.plan, "agent eval")

    def results(self) -> dict[tuple[str, int], Result]:
        """What is scored, and the latest reason of what could not be."""
        return latest(self.scores)


def latest(scores: Journal[Result]) -> dict[tuple[str, int], Result]:
    """The last row of each sample, by its task and number."""
    return {(row.instance_id, row.sample): row for row in scores.rows()}


@dataclass(frozen=True)
class Given:
    """Predictions to be scored: what to call their maker, one for each sample of each task.

    `bad` rows are no predictions.
    """

    name: str
    predictions: Mapping[tuple[str, int], Prediction]
    bad: tuple[BadRow, ...] = ()

    @property
    def samples(self) -> int:
        """The samples that each task has."""
        return max(sample for _, sample in self.predictions) + 1

    @property
    def digest(self) -> str:
        """SHA-256 of the predictions."""
        rows = [row.model_dump(mode="json") for _, row in sorted(self.predictions.items())]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def read_predictions(source: str, instances: Iterable[Instance]) -> Given:
    """Predictions to be scored, empty ones for the tasks and samples that lack one.

    `source` is `gold` (the known fixes), `base` (no change, which is tested), or a file of
    SWE-bench's format; a second row for the same task is a second sample. Raises UsageError.
    """
    tasks = {instance.instance_id: instance for instance in instances}
    if source in ("gold", "base"):
        patches = {(n, 0): i.patch if source == "gold" else "" for n, i in tasks.items()}
        return Given(source, {k: _given(k, p, Status.UNVERIFIED) for k, p in patches.items()})
    try:
        lines = Path(source).read_text("utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
    found: dict[tuple[str, int], Prediction] = {}
    counts = dict.fromkeys(tasks, 0)
    bad: list[BadRow] = []
    name = Path(source).stem
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if isinstance(row, str):
            if line.strip():
                bad.append(BadRow(number, "", row))
        elif (task := row["instance_id"]) in tasks:
            name = str(row.get("model_name_or_path") or name)
            key = (task, counts[task])
            counts[task] += 1
            found[key] = _of_row(key, row)
    if not found:
        raise UsageError(
            f"{source} has no prediction for any of these tasks",
            "Rows are {instance_id, model_name_or_path, model_patch}.",
        )
    for task in tasks:
        for sample in range(counts[task], max(counts.values())):
            key = (task, sample)
            found[key] = _given(key, "", Status.NOT_SOLVED, NO_PREDICTION)
    return Given(name.encode("utf-8", "replace").decode(), found, tuple(bad))


def _row(line: str) -> dict[str, Any] | str:
    """The prediction of a line, or why there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    if not isinstance(row, dict) or not isinstance(row.get("instance_id"), str):
        return "has no instance_id"
    if "model_patch" not in row or not isinstance(row["model_patch"] or "", str):
        return f"{row['instance_id']}: has no model_patch"
    return row


def _of_row(key: tuple[str, int], row: Mapping[str, Any]) -> Prediction:
    patch = row["model_patch"] or ""
    seconds = row.get("seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= sys.float_info.max:
        seconds = 0.0
    return _given(
        key,
        patch,
        Status.UNVERIFIED if patch else Status.NOT_SOLVED,
        "" if patch else "no patch",
        float(seconds),
    )


def _given(
    key: tuple[str, int], patch: str, status: Status, message: str = "", seconds: float = 0.0
) -> Prediction:
    return Prediction(
        instance_id=key[0],
        sample=key[1],
        patch=patch,
        status=status,
        message=message,
        seconds=seconds,
    )


def export_predictions(folder: Path, model: str, predictions: Iterable[Prediction]) -> list[Path]:
    """SWE-bench's `predictions.jsonl`, and one more file for each further sample."""
    by_sample: dict[int, list[str]] = {}
    for row in predictions:
        line = json.dumps(
            {
                "instance_id": row.instance_id,
                "model_name_or_path": model,
                "model_patch": row.patch,
            }
        )
        by_sample.setdefault(row.sample, []).append(line + "\n")
    written = []
    for sample, lines in sorted(by_sample.items()):
        name = f"predictions.{sample}.jsonl" if sample else "predictions.jsonl"
        write_text(folder / name, "".join(lines))
        written.append(folder / name)
    return written
