"""The JSON Schemas of everything that is printed with `--json`.

    python -m agent.schemas docs/schemas    # make schemas

writes one file for each document, and one for the events of a trajectory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from agent.doctor import Checks
from agent.documents import (
    Document,
    Engines,
    ErrorReport,
    GithubStep,
    Imported,
    Models,
    Served,
    Told,
    TrainedReport,
    Trajectories,
    json_schema,
)
from agent.evaluate.report import Summary
from agent.fix.documents import FixReport
from agent.mcp.answer import Answer
from agent.result import Result
from agent.rollout.report import Rolled
from agent.tasks.card import Card
from agent.tasks.report import Checked, Made
from policies.experience.events import EVENT

DOCUMENTS: tuple[type[Document], ...] = (
    Result,
    Answer,
    ErrorReport,
    Checks,
    Models,
    Served,
    Engines,
    Trajectories,
    Told,
    Imported,
    Rolled,
    TrainedReport,
    GithubStep,
    FixReport,
    Summary,
    Made,
    Checked,
    Card,
)


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas by the name of their file, without its ending."""
    named = {name_of(model): json_schema(model) for model in DOCUMENTS}
    return {**named, "event": json_schema(EVENT)}


def name_of(model: type[Document]) -> str:
    """The last part of a document's name."""
    return str(model.model_fields["name"].default).removeprefix("apprentice.")


def write(folder: Path) -> None:
    """Write all schemas into a folder, and remove the files of those that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    made = schemas()
    for old in folder.glob("*.json"):
        if old.stem not in made:
            old.unlink()
    for name, schema in made.items():
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas"))
