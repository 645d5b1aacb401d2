"""What is asked of `agent train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Trainer = Literal["sft", "dpo", "kto", "reward", "grpo", "ppo"]


@dataclass(frozen=True)
class Request:
    """What to train on what. `stores` are databases, or folders with one; none: the user's.

    `trajectories`, `repository` and `limit` choose among the stored runs; all by default. `parent`
    is the folder of an adapter to go on from, unless `model` names one; `gold` is a file of
    conversations for SFT; `changes` are settings as `key=value`, with dots (`loss.kl=0.01`).
    """

    trainer: Trainer
    model: str
    out: Path
    stores: tuple[Path, ...] = ()
    trajectories: tuple[str, ...] = ()
    repository: str | None = None
    limit: int | None = None
    parent: Path | None = None
    gold: Path | None = None
    changes: tuple[str, ...] = ()
    device: str | None = None
    dtype: str | None = None
