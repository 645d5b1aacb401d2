"""The records of an evaluation: what is evaluated, and rows written down as they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.config import Settings
from agent.evaluate.results import Result
from agent.evaluate.sample import Prediction
from agent.status import EnvironmentFailure, Status, UsageError
from agent.tasks.instance import Instance, Variant, write_text

SAMPLES, RESULTS = "samples.jsonl", "results.jsonl"
Row = TypeVar("Row", bound=BaseModel)


class Plan(BaseModel):
    """What is evaluated. A folder of results belongs to one plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks_sha256: str
    model: str
    variant: Variant
    samples: int
    settings: Settings


class Folder:
    """The records of an evaluation: one line per event, so that a killed run goes on."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.lock = threading.Lock()

    def open(self) -> None:
        """Make the folder, or check that it holds this evaluation. Raises AgentError."""
        note = self.path / "run.json"
        text = self.plan.model_dump_json(indent=2) + "\n"
        if note.exists():
            if note.read_text(encoding="utf-8") != text:
                raise UsageError(
                    f"{self.path} holds an evaluation of other tasks or settings",
                    "Name another folder with --out.",
                )
            return
        write_text(note, text)

    def rows(self, name: str, kind: type[Row]) -> list[Row]:
        """The rows of a file; one that a killed run left unfinished is passed over."""
        try:
            lines = (self.path / name).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in filter(None, lines):
            try:
                found.append(kind.model_validate_json(line))
            except ValidationError:
                continue
        return found

    def append(self, name: str, row: BaseModel) -> None:
        """Add a row. Raises EnvironmentFailure."""
        try:
            with self.lock, (self.path / name).open("a+b") as file:
                if file.tell() and not _ends_a_line(self.path / name):
                    file.write(b"\n")
                file.write(row.model_dump_json().encode() + b"\n")
                file.flush()
        except OSError as error:
            raise EnvironmentFailure(f"{self.path / name}: {error.strerror}") from error

    def results(self) -> dict[tuple[str, int], Result]:
        """What is scored, and the latest reason of what could not be."""
        return {(row.instance_id, row.sample): row for row in self.rows(RESULTS, Result)}


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def read_predictions(
    source: str, instances: Iterable[Instance]
) -> tuple[str, dict[tuple[str, int], Prediction]]:
    """Predictions to be scored, and what to call their maker.

    `source` is `gold` (the known fixes), `base` (no change), or a file of SWE-bench's format; a
    second row for the same task is a second sample. Raises UsageError.
    """
    if source in ("gold", "base"):
        patches = {(i.instance_id, 0): i.patch if source == "gold" else "" for i in instances}
        return source, {key: _given(key, patch, {}) for key, patch in patches.items()}
    try:
        rows = [json.loads(line) for line in Path(source).read_text("utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise UsageError(f"{source} cannot be read: {error}") from error
    known = {instance.instance_id for instance in instances}
    found: dict[tuple[str, int], Prediction] = {}
    name = Path(source).stem
    for row in rows:
        if not isinstance(row, dict) or not {"instance_id", "model_patch"} <= row.keys():
            raise UsageError(
                f"{source}: a row has no instance_id or no model_patch",
                "Rows are {instance_id, model_name_or_path, model_patch}.",
            )
        if row["instance_id"] in known:
            name = str(row.get("model_name_or_path") or name)
            sample = sum(key[0] == row["instance_id"] for key in found)
            key = (row["instance_id"], sample)
            found[key] = _given(key, row["model_patch"] or "", row)
    if not found:
        raise UsageError(f"{source} has no prediction for any of these tasks")
    return name, found


def _given(key: tuple[str, int], patch: str, row: Mapping[str, object]) -> Prediction:
    seconds = row.get("seconds")
    return Prediction(
        instance_id=key[0],
        sample=key[1],
        patch=patch,
        status=Status.UNVERIFIED if patch else Status.NOT_SOLVED,
        message="" if patch else "no patch",
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
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
