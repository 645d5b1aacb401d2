"""Settings, and where they come from.

Precedence, highest first: command line, environment (`APPRENTICE_*`), `apprentice.toml` in the
repository, `[tool.apprentice]` in its `pyproject.toml`, the user's `config.toml`, defaults.
A repository is untrusted: it may not choose a hosted model, an arbitrary weights file, a host
environment, what stays running, or the sandbox `none`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agent.status import UsageError

DEFAULT_MODEL = "qwen2.5-coder-1.5b"


Strategy = Literal["search", "infill", "conversation"]


class Settings(BaseModel):
    """Everything a run can be told. Seconds and tokens are totals for the whole run.

    `model` edits, and plans and criticises as well, unless `planner` and `critic` name others.
    `strategies` are the kinds of attempts that a policy without tool calling makes. To `explore` is
    to make all attempts, none of them greedy, and to judge all answers that may be right, also when
    one is verified: what rollouts do. `rounds` are revisions in a conversation, and four places
    each to fill in.
    `context_tokens` are 8192 for a local model and what is known of a hosted one, unless given.
    `with_test` keeps a test that the policy wrote to show the bug as a part of the patch.
    `protected` are files that no patch may change, as paths or patterns; entries `!PATH` name the
    only ones that one may. `checks` and `fix_timeout`, the seconds that it may try, are for `agent
    fix`. `resident` says who shares a local model that stays loaded for `resident_seconds` after
    its last use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = DEFAULT_MODEL
    planner: str | None = None
    critic: str | None = None
    sandbox: Literal["auto", "docker", "bubblewrap", "none"] = "auto"
    image: str | None = None
    environment: str | None = None
    test_command: str | None = None
    strategies: tuple[Strategy, ...] = ("search", "infill", "conversation")
    samples: int = Field(16, ge=1, le=256)
    explore: bool = False
    rounds: int = Field(3, ge=1, le=32)
    actions_per_round: int = Field(30, ge=1, le=200)
    budget_tokens: int = Field(60_000, ge=100)
    timeout: float = Field(900.0, gt=0)
    test_timeout: float = Field(300.0, gt=0)
    context_tokens: int | None = Field(None, ge=1024)
    prompt_tokens: int = Field(1800, ge=400)
    temperature: float = Field(0.7, ge=0, le=2)
    seed: int = 0
    with_test: bool = False
    protected: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    fix_timeout: float = Field(120.0, gt=0)
    resident: Literal["fix", "always", "never"] = "fix"
    resident_seconds: float = Field(600.0, gt=0)

    @field_validator("strategies", "protected", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Names with commas between them, as an environment variable has them."""
        return value.split(",") if isinstance(value, str) else value

    @property
    def members(self) -> dict[str, str | None]:
        """The models that answer in phases of an attempt in the place of `model`, by phase."""
        return {"plan": self.planner, "critique": self.critic}


REPOSITORY_KEYS = frozenset(Settings.model_fields) - {
    "critic",
    "environment",
    "explore",
    "planner",
    "resident",
    "resident_seconds",
}


def user_config_path() -> Path:
    """The user's configuration file (`APPRENTICE_CONFIG` overrides it)."""
    if override := os.environ.get("APPRENTICE_CONFIG"):
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_config_dir("apprentice")) / "config.toml"


def load_settings(repository: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Merge all sources; `overrides` come from the command line (None means not given).

    Raises UsageError naming the file, the key and the nearest known key.
    """
    merged: dict[str, Any] = {}
    merged.update(_checked(user_config_path(), _table(user_config_path()), trusted=True))
    if repository is not None:
        pyproject = repository / "pyproject.toml"
        tools = _table(pyproject).get("tool", {})
        table = tools.get("apprentice", {}) if isinstance(tools, dict) else {}
        merged.update(_checked(pyproject, table, trusted=False))
        own = repository / "apprentice.toml"
        merged.update(_checked(own, _table(own), trusted=False))
    for key in Settings.model_fields:
        if (value := os.environ.get(f"APPRENTICE_{key.upper()}")) is not None:
            merged[key] = value
    merged.update({key: value for key, value in overrides.items() if value is not None})
    return _validated("settings", merged)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: cannot be read as TOML: {error}", "Mend or remove it."
        ) from error


def _checked(path: Path, table: Mapping[str, Any], *, trusted: bool) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise UsageError(f"{path}: [tool.apprentice] must be a table")
    for key in table:
        if key not in Settings.model_fields:
            near = difflib.get_close_matches(key, Settings.model_fields, n=1)
            hint = (
                f"Did you mean {near[0]!r}?"
                if near
                else f"Known: {', '.join(Settings.model_fields)}"
            )
            raise UsageError(f"{path}: unknown key {key!r}", hint)
    values = dict(table)
    if not trusted:
        _refuse_untrusted(path, values)
    _validated(str(path), values)
    return values


def _refuse_untrusted(path: Path, values: Mapping[str, Any]) -> None:
    where = f"Set it in {user_config_path()} or on the command line if you trust this repository."
    for key in values:
        if key not in REPOSITORY_KEYS:
            raise UsageError(f"{path}: a repository may not set {key!r}", where)
    if values.get("sandbox") == "none":
        raise UsageError(f"{path}: a repository may not switch the sandbox off", where)
    model = values.get("model")
    if model is not None:
        from policies.hub.catalogue import CATALOGUE

        if not isinstance(model, str) or model not in CATALOGUE:
            raise UsageError(
                f"{path}: a repository may only choose a catalogue model, not {model!r}", where
            )


def _validated(source: str, values: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{source}: {key}: {first['msg']} (got {first['input']!r})") from error
