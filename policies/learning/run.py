"""A training run in a folder: checkpoints that a kill cannot break, and exact resumption.

The folder holds `run.json` (what is trained on what), `start.pt` (what was computed once before the
first step), `checkpoint-N.pt` (the newest two), `curves.json`, `curves.png`, and at the end
`adapter/`. A file is there wholly or not at all. A run goes on only with the same settings and
data.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.learning.errors import LearningError
from policies.learning.report import Row, draw, write_rows
from policies.learning.workers import Workers

if TYPE_CHECKING:
    import torch

    from policies.learning.base import SharedBase

KEPT = 2
_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.pt")
OnRow = Callable[[Row, int], None]


@dataclass
class Run:
    """One run. `identity` is what must be the same for it to go on; `rows` is its curve so far."""

    folder: Path
    identity: Mapping[str, Any]
    workers: Workers = field(default_factory=Workers)
    on_row: OnRow | None = None
    plots: bool = True
    rows: list[Row] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """What else belongs to the state between steps: tensors, numbers, lists of them."""

    def __post_init__(self) -> None:
        if self.workers.first:
            self._claim()
        self.workers.wait()

    def _claim(self) -> None:
        path = self.folder / "run.json"
        wanted = json.loads(json.dumps(self.identity))
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                found = {}
            if different := _differences(found, wanted):
                raise LearningError(
                    f"{self.folder} holds another run: {', '.join(different[:3])}. Choose another "
                    "folder, or remove this one."
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(wanted, indent=2).encode())

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, computed once for the whole run and kept in `NAME.pt`."""
        import torch

        path = self.folder / f"{name}.pt"
        if path.exists():
            return torch.load(path, weights_only=True)
        made = make()
        if self.workers.first:
            _save(path, made)
        self.workers.wait()
        return made

    def restore(self, base: SharedBase, optimisers: Sequence[torch.optim.Optimizer]) -> int:
        """Load the newest checkpoint; returns the steps that are done, 0 without one."""
        import pickle

        import torch

        for step in sorted(self._steps(), reverse=True):
            path = self.folder / f"checkpoint-{step}.pt"
            try:
                state = torch.load(path, weights_only=True)
            except (OSError, RuntimeError, ValueError, EOFError, pickle.PickleError) as error:
                raise LearningError(
                    f"{path} is damaged: remove it to go on from the one before."
                ) from error
            base.load_state(state["weights"])
            for optimiser, own in zip(optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(own)
            torch.set_rng_state(state["rng"])
            if state["cuda_rng"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(state["cuda_rng"])
            self.rows, self.extra = state["rows"], state["extra"]
            return int(state["step"])
        return 0

    def record(self, row: Row, total: int) -> None:
        """Add a step to the curves, on disk and for whoever watches."""
        self.rows.append(row)
        if self.workers.first:
            write_rows(self.folder / "curves.json", self.rows)
            if self.on_row is not None:
                self.on_row(row, total)

    def save(
        self, step: int, base: SharedBase, optimisers: Sequence[torch.optim.Optimizer]
    ) -> None:
        """Write a checkpoint after `step` steps, and remove all but the newest two."""
        import torch

        if self.workers.first:
            state = {
                "step": step,
                "weights": base.state(),
                "optimisers": [optimiser.state_dict() for optimiser in optimisers],
                "rng": torch.get_rng_state(),
                "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
                "rows": self.rows,
                "extra": self.extra,
            }
            _save(self.folder / f"checkpoint-{step}.pt", state)
            for old in sorted(self._steps(), reverse=True)[KEPT:]:
                (self.folder / f"checkpoint-{old}.pt").unlink()
        self.workers.wait()

    def finish(self, base: SharedBase, metrics: Mapping[str, Any]) -> Path:
        """Write the adapter with its lineage, and the plots; returns the adapter's folder."""
        target = self.folder / "adapter"
        if self.workers.first:
            base.save_adapter(target)
            lineage = {**self.identity, "metrics": dict(metrics)}
            write_atomically(target / "lineage.json", json.dumps(lineage, indent=2).encode())
            if self.plots:
                draw(self.rows, self.folder / "curves.png")
        self.workers.wait()
        return target

    def _steps(self) -> list[int]:
        found = (_CHECKPOINT.fullmatch(path.name) for path in self.folder.iterdir())
        return [int(match[1]) for match in found if match]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there wholly or not at all, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def _save(path: Path, state: Any) -> None:
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def _differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        return [
            difference
            for key in keys
            for difference in _differences(
                found.get(key), wanted.get(key), f"{where}.{key}" if where else str(key)
            )
        ]
    return [] if found == wanted else [f"{where} was {found!r}, not {wanted!r}"]
