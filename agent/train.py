"""Training: store → batch → trainer → adapter, for every trainer."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from agent import __version__
from agent.status import UsageError
from policies.experience.store import Store, default_path
from policies.learning.batch import Groups, Trajectory, grouped, read
from policies.learning.rewards import RewardConfig
from policies.learning.run import OnRow, Run
from policies.learning.workers import Workers

if TYPE_CHECKING:
    from policies.learning.weights import Weights

Trainer = Literal["sft", "dpo", "kto", "reward", "grpo", "ppo"]
_NOT_IDENTITY = ("steps", "epochs", "save_every")


@dataclass(frozen=True)
class Request:
    """What to train on what. `stores` are databases, or folders with one; none: the user's.

    `trajectories`, `repository` and `limit` choose among the stored runs; all by default. `parent`
    is the folder of an adapter to go on from, `gold` a file of conversations for SFT, `changes` are
    settings as `key=value`, with dots for parts (`loss.kl=0.01`).
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


@dataclass(frozen=True)
class Trained:
    """The adapter's folder, the curves, and what was left out of the data, by reason."""

    adapter: Path
    rows: Sequence[Mapping[str, float]]
    lineage: Mapping[str, Any]
    left_out: Mapping[str, int] = field(default_factory=dict)
    first: bool = True


def train(request: Request, on_row: OnRow | None = None) -> Trained:
    """Train an adapter; a run that was stopped goes on in its folder.

    Raises UsageError for settings that mean nothing, PolicyError when weights, data or a checkpoint
    cannot be trained on.
    """
    config = configured(config_class(request.trainer), request.changes)
    found = stored(request, config.rewards)
    rows = read_gold(request.gold) if request.gold else []
    workers = Workers.open(request.device)
    dtype = request.dtype or ("float32" if workers.device == "cpu" else "bfloat16")
    from policies.learning.weights import load_weights

    labels = 1 if request.trainer == "reward" else None
    weights = load_weights(request.model, dtype=dtype, device=workers.device, labels=labels)
    groups = grouped(
        found,
        contrast=request.trainer not in ("ppo", "kto", "sft"),
        longest=config.data.max_nodes if request.trainer in ("grpo", "ppo") else config.longest,
    )
    run = Run(
        request.out,
        _identity(request, config, weights, dtype, _data_digest(groups, rows)),
        workers,
        on_row,
    )
    _seed(config.seed)
    adapter = _fit(request, config, weights, found, groups, rows, run)
    lineage = json.loads((adapter / "lineage.json").read_text(encoding="utf-8"))
    return Trained(adapter, run.rows, lineage, groups.left_out, workers.first)


def _fit(
    request: Request,
    config: Any,
    weights: Weights,
    found: Sequence[Trajectory],
    groups: Groups,
    rows: Sequence[Any],
    run: Run,
) -> Path:
    model, tokenizer, parent = weights.model, weights.tokenizer, request.parent
    if request.trainer == "sft":
        from policies.learning import sft

        sequences = [*sft.accepted(found, config), *sft.gold(rows, tokenizer)]
        return sft.train(model, tokenizer, sequences, config, run, parent)
    if request.trainer in ("dpo", "reward"):
        from policies.learning import preference, reward

        pairs = preference.pairs_of(groups, config)
        if request.trainer == "reward":
            return reward.train(model, tokenizer, pairs, config, run)
        return preference.dpo(model, tokenizer, pairs, config, run, parent)
    if request.trainer == "kto":
        from policies.learning import preference

        return preference.kto(model, tokenizer, groups, config, run, parent)
    from policies.learning import grpo, ppo
    from policies.learning.base import SharedBase
    from policies.learning.data import lay_out

    data = lay_out(groups)
    base = SharedBase(
        model,
        config.adapters,
        value=request.trainer == "ppo",
        parent=parent,
        checkpointing=config.checkpointing,
    )
    if request.trainer == "ppo":
        return ppo.train(base, data, config, run)
    return grpo.train(base, data, config, run)


def config_class(trainer: str) -> type[BaseModel]:
    """The settings of a trainer."""
    from policies.learning.grpo import GrpoConfig
    from policies.learning.ppo import PpoConfig
    from policies.learning.preference import PreferenceConfig
    from policies.learning.reward import RewardModelConfig
    from policies.learning.sft import SftConfig

    kinds: dict[str, type[BaseModel]] = {
        "sft": SftConfig,
        "dpo": PreferenceConfig,
        "kto": PreferenceConfig,
        "reward": RewardModelConfig,
        "grpo": GrpoConfig,
        "ppo": PpoConfig,
    }
    return kinds[trainer]


def configured(kind: type[BaseModel], changes: Iterable[str]) -> Any:
    """Settings with changes of the form `key=value`; values are JSON, or else text.

    Raises UsageError that names the nearest known key.
    """
    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise UsageError(f"{change!r} is no setting", "Write --set KEY=VALUE.")
        _known(kind, key)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        *parts, last = key.split(".")
        place = values
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"--set {where}: {first['msg']} (got {first['input']!r})") from error


def _known(kind: type[BaseModel], key: str) -> None:
    known = list(_keys(kind))
    if key not in known and not any(key.startswith(f"{name}.") for name in _open_keys(kind)):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        raise UsageError(f"there is no setting {key!r}", hint)


def _keys(kind: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """All keys of settings, with dots."""
    for name, info in kind.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _keys(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _open_keys(kind: type[BaseModel]) -> Iterable[str]:
    """Keys whose values are tables with names of their own."""
    return [key for key in _keys(kind) if key.endswith("weights")]


def stored(request: Request, rewards: RewardConfig) -> list[Trajectory]:
    """The trajectories of the stored runs that a request chooses.

    Raises UsageError when a store is not there, LearningError where tokens do not fit together.
    """
    found: list[Trajectory] = []
    for path in request.stores or ((default_path(),) if default_path().exists() else ()):
        database = path / "experience.db" if path.is_dir() else path
        if not database.is_file():
            raise UsageError(
                f"there is no store at {database}", "Name a folder of `agent rollout` or `eval`."
            )
        with ExitStack() as stack:
            store = stack.enter_context(Store.open(database))
            if request.trajectories:
                names = [store.resolve(name) for name in request.trajectories]
            else:
                limit = -1 if request.limit is None else request.limit
                summaries = store.trajectories(limit, request.repository)
                names = [summary.id for summary in reversed(summaries)]
            found += read(store, names, rewards)
    return found


def read_gold(path: Path) -> list[list[dict[str, str]]]:
    """Conversations to learn: JSONL rows `{"messages": [{"role", "content"}, …]}`.

    Raises UsageError that names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            messages = json.loads(line)["messages"]
            rows.append([{"role": m["role"], "content": m["content"]} for m in messages])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path}, line {number} is no conversation",
                'A row is {"messages": [{"role": …, "content": …}, …]}.',
            ) from error
    return rows


def _identity(
    request: Request, config: BaseModel, weights: Weights, dtype: str, data: str
) -> dict[str, Any]:
    """What must be the same for a run to go on; also the lineage of its adapter."""
    settings = config.model_dump(mode="json")
    return {
        "trainer": request.trainer,
        "base": weights.version,
        "parent": str(request.parent.resolve()) if request.parent else None,
        "data": data,
        "dtype": dtype,
        "config": {key: value for key, value in settings.items() if key not in _NOT_IDENTITY},
        "code_version": __version__,
    }


def _data_digest(groups: Groups, rows: Sequence[Any]) -> str:
    import hashlib

    text = groups.digest + (json.dumps(rows) if rows else "")
    return hashlib.sha256(text.encode()).hexdigest()


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)
