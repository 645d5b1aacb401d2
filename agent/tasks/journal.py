"""Rows written down as they come, so that a run that was stopped goes on."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from agent.status import EnvironmentFailure

Row = TypeVar("Row", bound=BaseModel)


class Journal(Generic[Row]):
    """A file with a row of JSON a line. Threads may share one."""

    def __init__(self, path: Path, kind: type[Row]) -> None:
        self.path = path
        self.kind = kind
        self.lock = threading.Lock()

    def rows(self) -> list[Row]:
        """The rows so far; one that a killed run left unfinished is passed over."""
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        found = []
        for line in filter(None, lines):
            try:
                found.append(self.kind.model_validate(json.loads(line)))
            except ValueError:
                continue
        return found

    def append(self, row: Row) -> None:
        """Add a row, in ASCII: a patch may hold what is no text. Raises EnvironmentFailure."""
        line = json.dumps(row.model_dump(mode="json"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.lock, self.path.open("a+b") as file:
                if file.tell() and not self._ends_a_line():
                    file.write(b"\n")
                file.write(line.encode() + b"\n")
        except OSError as error:
            raise EnvironmentFailure(f"{self.path}: {error.strerror}") from error

    def _ends_a_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"
