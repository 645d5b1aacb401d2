"""Training: store → batch → trainer → adapter, for every trainer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent import __version__
from agent.train.adapter import Start, keep, start_of
from agent.train.data import read_gold, stored
from agent.train.request import Request, Trainer
from agent.train.settings import config_class, configured
from agent.workers.folder import alone
from policies.learning.batch import Groups, Trajectory, grouped
from policies.learning.heap import give_back_freed
from policies.learning.run import OnRow, Run
from policies.learning.workers import Workers
from policies.torch.load import Base, Identity, load_base

_NOT_IDENTITY = ("steps", "epochs", "save_every")


@dataclass(frozen=True)
class Trained:
    """The adapter's folder, the curves, and what was left out of the data, by reason.

    `name` is the adapter's NAME@VERSION; '' where its base is a folder, or it is no policy.
    """

    adapter: Path
    rows: Sequence[Mapping[str, float]]
    lineage: Mapping[str, Any]
    left_out: Mapping[str, int] = field(default_factory=dict)
    first: bool = True
    name: str = ""


def train(request: Request, on_row: OnRow | None = None) -> Trained:
    """Train an adapter; a run that was stopped goes on in its folder.

    Raises UsageError for settings that mean nothing, PolicyError when weights, data or a checkpoint
    cannot be trained on.
    """
    config = configured(config_class(request.trainer), request.changes)
    if config.checkpointing:
        give_back_freed()
    found = stored(request, config.rewards)
    rows = read_gold(request.gold) if request.gold else []
    start = start_of(request)
    workers = Workers.open(request.device)
    dtype = request.dtype or ("float32" if workers.device == "cpu" else "bfloat16")
    labels = 1 if request.trainer == "reward" else None
    base = load_base(start.base, dtype=dtype, device=workers.device, labels=labels)
    groups = grouped(
        found,
        contrast=request.trainer not in ("ppo", "kto", "sft"),
        choices=request.trainer not in ("grpo", "ppo"),
        longest=config.data.max_nodes if request.trainer in ("grpo", "ppo") else config.longest,
    )
    data = _data_digest(groups, rows)
    identity = _identity(request, config, base.identity, start, dtype, data)
    with alone(request.out, "agent train") if workers.first else nullcontext():
        run = Run(request.out, identity, workers, on_row)
        _seed(config.seed)
        adapter = _fit(request.trainer, config, base, start, found, groups, rows, run)
    lineage = json.loads((adapter / "lineage.json").read_text(encoding="utf-8"))
    name = ""
    if workers.first and request.trainer != "reward":
        name = keep(adapter, base.identity, lineage)
    return Trained(adapter, run.rows, lineage, groups.left_out, workers.first, name)


def _fit(
    trainer: Trainer,
    config: Any,
    loaded: Base,
    start: Start,
    found: Sequence[Trajectory],
    groups: Groups,
    rows: Sequence[Any],
    run: Run,
) -> Path:
    model, tokenizer, parent = loaded.model, loaded.tokenizer, start.parent
    if trainer == "sft":
        from policies.learning import sft

        sequences = [*sft.accepted(found, config), *sft.gold(rows, tokenizer)]
        return sft.train(model, tokenizer, sequences, config, run, parent)
    if trainer in ("dpo", "reward"):
        from policies.learning import preference, reward

        pairs = preference.pairs_of(groups, config)
        if trainer == "reward":
            return reward.train(model, tokenizer, pairs, config, run)
        return preference.dpo(model, tokenizer, pairs, config, run, parent)
    if trainer == "kto":
        from policies.learning import preference

        return preference.kto(model, tokenizer, groups, config, run, parent)
    from policies.learning import grpo, ppo
    from policies.learning.base import SharedBase
    from policies.learning.data import lay_out

    data = lay_out(groups)
    base = SharedBase(
        model,
        config.adapters,
        value=trainer == "ppo",
        parent=parent,
        checkpointing=config.checkpointing,
    )
    if trainer == "ppo":
        return ppo.train(base, data, config, run)
    return grpo.train(base, data, config, run)


def _identity(
    request: Request, config: BaseModel, base: Identity, start: Start, dtype: str, data: str
) -> dict[str, Any]:
    """What must be the same for a run to go on; also the lineage of its adapter."""
    settings = config.model_dump(mode="json")
    return {
        "trainer": request.trainer,
        "base": base.version,
        "parent": start.parent_name,
        "data": data,
        "dtype": dtype,
        "config": {key: value for key, value in settings.items() if key not in _NOT_IDENTITY},
        "code_version": __version__,
    }


def _data_digest(groups: Groups, rows: Sequence[Any]) -> str:
    text = groups.digest + (json.dumps(rows) if rows else "")
    return hashlib.sha256(text.encode()).hexdigest()


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
