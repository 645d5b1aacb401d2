"""Settings of the trainers, by key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from agent.status import UsageError


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
