"""Adapters: what training leaves, kept whole, with where it comes from and which one is in use.

An adapter is a folder in PEFT's format (`adapter_config.json`, `adapter_model.safetensors`)
with a `lineage.json`, named `NAME@VERSION` after the base model NAME. `NAME@base` is that
model without any; plain `NAME` is the version that was promoted, else the base.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, ValidationError

from policies.base import Frozen, PolicyError
from policies.hub.files import digest, locked, sync_directory, sync_folder, write_json
from policies.hub.store import Listed, is_known, unknown_model
from policies.paths import data_root

BASE = "base"
"""The version that means no adapter."""

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
LINEAGE = "lineage.json"
CONVERTED = "adapter.gguf"
"""What llama.cpp loads, made of the others when it is first needed."""

_REFERENCE = re.compile(r"([A-Za-z0-9][\w.-]{0,99})@([A-Za-z0-9][\w.-]{0,63})")
_NUMBERED = re.compile(r"v(\d+)")
_STAGING = ".saving-"


class Lineage(Frozen):
    """Where an adapter comes from.

    `name` and `base_sha256` are the base model's name and the digest of its weights (those of
    `load_base(...).identity`). `parent` is the version that training began with, None for the
    bare base. `data_sha256` identifies what was trained on, `config` is the trainer's, and
    `metrics` what was measured. `files` (name → SHA-256) and `version` are filled in by
    `save_adapter`.
    """

    format: Literal[1] = 1
    name: str
    base_sha256: str
    method: str = ""
    parent: str | None = None
    data_sha256: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    code_version: str = ""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    version: str = ""
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def reference(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"

    @property
    def sha256(self) -> str:
        """The digest of the adapter's weights."""
        return self.files[WEIGHTS]


class SavesAdapters(Protocol):
    """A PeftModel, as far as it matters here."""

    def save_pretrained(self, save_directory: str, **options: Any) -> Any:
        """Write the chosen adapters into a folder."""
        ...


class Change(Frozen):
    """One line of the history of what plain NAME means."""

    action: Literal["promote", "rollback"]
    version: str
    at: str


def adapters_root() -> Path:
    """The folder of all adapters."""
    return data_root() / "adapters"


def split_reference(model: str) -> tuple[str, str] | None:
    """NAME and VERSION of `NAME@VERSION`; None when `model` is not of that form."""
    match = _REFERENCE.fullmatch(model)
    return (match[1], match[2]) if match else None


def save_adapter(
    source: Path | SavesAdapters,
    lineage: Lineage,
    *,
    version: str | None = None,
    adapter: str = "default",
) -> str:
    """Keep an adapter for good; returns its reference `NAME@VERSION`.

    `source` is a folder that PEFT wrote, or a PeftModel, of which `adapter` is taken. All
    files of such a folder are kept (a value head may lie beside). `version` defaults to the
    next of v1, v2, …. The version appears whole or not at all, also when the process is
    killed. Raises PolicyError when the source is no adapter or the version is taken.
    """
    if not _REFERENCE.fullmatch(f"{lineage.name}@{version or 'v1'}") or version == BASE:
        raise PolicyError(
            f"{lineage.name}@{version or 'v1'} cannot name an adapter: use letters, digits, dots, "
            f"dashes and underscores, and not {BASE!r} as a version."
        )
    folder = _folder(lineage.name)
    with locked(folder / ".lock"):
        for leftover in folder.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if version is None:
            version = f"v{1 + _highest(lineage.name)}"
        target = folder / version
        if target.exists():
            raise PolicyError(
                f"{lineage.name}@{version} exists already: name another version, or none for "
                "the next one."
            )
        staging = folder / f"{_STAGING}{secrets.token_hex(4)}"
        try:
            _stage(source, staging, adapter)
            files = {file.name: digest(file) for file in sorted(staging.iterdir())}
            full = lineage.model_copy(update={"version": version, "files": files})
            write_json(staging / LINEAGE, full.model_dump(mode="json"))
            sync_folder(staging)
            staging.rename(target)
            sync_directory(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return full.reference


def load_adapter_path(name_version: str, base_sha256: str | None = None) -> Path:
    """The folder of adapter `NAME@VERSION`, every file checked against its lineage.

    With `base_sha256`, also that it was made for these base weights. Raises PolicyError when
    there is no such adapter, or it is damaged or made for another base.
    """
    reference = split_reference(name_version)
    if reference is None:
        raise PolicyError(f"{name_version!r} names no adapter: write NAME@VERSION.")
    name, version = reference
    path = _folder(name) / version
    if not path.is_dir() or version == BASE:
        known = ", ".join(entry.version for entry in list_adapters(name)) or "none"
        raise PolicyError(
            f"there is no adapter {name_version}; versions of {name}: {known}. `agent models "
            "list` shows all of them, `agent models add-adapter` adds one."
        )
    lineage = read_lineage(path)
    for file, expected in lineage.files.items():
        found = digest(path / file) if (path / file).is_file() else "missing"
        if found != expected:
            raise PolicyError(
                f"adapter {name_version} is damaged: {path / file} is "
                f"{'missing' if found == 'missing' else 'not what was saved'}. Train or add it "
                f"again under another version, and remove this one: agent models remove "
                f"{name_version}."
            )
    if base_sha256 is not None:
        check_base(lineage, base_sha256)
    return path


def read_lineage(path: Path) -> Lineage:
    """The lineage of the adapter in folder `path`. Raises PolicyError when it is damaged."""
    try:
        lineage = Lineage.model_validate_json((path / LINEAGE).read_text(encoding="utf-8"))
        if WEIGHTS not in lineage.files or CONFIG not in lineage.files:
            raise ValueError("it does not name the adapter's files")
        if (lineage.name, lineage.version) != (path.parent.name, path.name):
            raise ValueError(f"it is the one of {lineage.reference}")
    except (OSError, ValueError, ValidationError) as error:
        raise PolicyError(
            f"{path / LINEAGE} is missing or damaged ({error}): without it nobody knows what "
            "the adapter is. Train or add it again, and delete this folder."
        ) from error
    return lineage


def check_base(lineage: Lineage, base_sha256: str) -> None:
    """Raise PolicyError unless the adapter was made for the weights with this digest."""
    if lineage.base_sha256 != base_sha256:
        raise PolicyError(
            f"adapter {lineage.reference} was made for other base weights: for SHA-256 "
            f"{lineage.base_sha256[:12]}…, and {lineage.name} is now {base_sha256[:12]}…. Bring "
            f"those weights back (`agent models pull {lineage.name} --force`), or train anew."
        )


def list_adapters(name: str | None = None) -> list[Lineage]:
    """The adapters of base model `name`, or all; damaged lineages are left out.

    Of one model those with names of their own come first, then v1, v2, … in order.
    """
    found = []
    for folder in sorted(adapters_root().glob("*/*/")):
        if folder.name.startswith(".") or (name is not None and folder.parent.name != name):
            continue
        try:
            found.append(read_lineage(folder))
        except PolicyError:
            continue
    return sorted(found, key=lambda entry: (entry.name, _number(entry.version), entry.version))


def listed() -> list[Listed]:
    """All adapters as lines of the list of models. Digests are not checked here."""
    lines = []
    for lineage in list_adapters():
        folder = _folder(lineage.name) / lineage.version
        weights = folder / WEIGHTS
        origin = f", from {lineage.parent}" if lineage.parent else ""
        lines.append(
            Listed(
                name=lineage.reference,
                title=f"adapter, {lineage.method or 'trained'} {lineage.created}{origin}",
                kind="adapter",
                bytes=weights.stat().st_size if weights.is_file() else None,
                present=weights.is_file(),
                path=str(folder),
                promoted=current(lineage.name) == lineage.version,
            )
        )
    return lines


def current(name: str) -> str:
    """The version that plain `name` means: the promoted one, or `base`."""
    return _stack(history(name))[-1]


def history(name: str) -> list[Change]:
    """Promotions and rollbacks of `name`, oldest first."""
    path = _folder(name) / "history.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return [Change.model_validate(entry) for entry in stored["history"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(
            f"{path} is damaged: {error}. Delete it, and promote the version that you want."
        ) from error


def promote(name_version: str) -> None:
    """Let plain NAME mean this version from now on; `NAME@base` is the bare model.

    Raises PolicyError when there is no such version or it is damaged.
    """
    name, version = split_reference(name_version) or ("", "")
    if version != BASE:
        load_adapter_path(name_version)
    elif not (is_known(name) or _folder(name).is_dir()):
        raise unknown_model(name)
    with locked(_folder(name) / ".lock"):
        known = history(name)
        if _stack(known)[-1] != version:
            _write_history(name, known, "promote", version)


def rollback(name: str) -> str:
    """Undo the last promotion of `name` that still counts; returns what plain `name` means now.

    Raises PolicyError when nothing is promoted.
    """
    if not split_reference(f"{name}@{BASE}") or not _folder(name).is_dir():
        raise PolicyError(f"nothing was promoted for {name!r}: see `agent models list`.")
    with locked(_folder(name) / ".lock"):
        known = history(name)
        stack = _stack(known)
        if len(stack) == 1:
            raise PolicyError(
                f"plain {name} is the base model already: there is no promotion to undo."
            )
        if stack[-2] != BASE:
            load_adapter_path(f"{name}@{stack[-2]}")
        _write_history(name, known, "rollback", stack[-2])
    return stack[-2]


def remove_adapter(name_version: str) -> Path:
    """Delete an adapter, also a damaged one; not the one that plain NAME means."""
    reference = split_reference(name_version)
    path = _folder(reference[0]) / reference[1] if reference else None
    if reference is None or path is None or not path.is_dir():
        raise PolicyError(f"there is no adapter {name_version}: see `agent models list`.")
    name, version = reference
    with locked(_folder(name) / ".lock"):
        if version in _stack(history(name)):
            raise PolicyError(
                f"{name_version} is promoted, or what a rollback leads to: promote another "
                f"version or `{name}@{BASE}` first, and roll back to before it."
            )
        trash = path.with_name(f"{_STAGING}{secrets.token_hex(4)}")
        path.rename(trash)
        shutil.rmtree(trash)
    return path


def _folder(name: str) -> Path:
    return adapters_root() / name


def _stage(source: Path | SavesAdapters, staging: Path, adapter: str) -> None:
    """Put the files of an adapter into the new folder `staging`, flat."""
    staging.mkdir(parents=True)
    if isinstance(source, Path):
        for file in source.iterdir() if source.is_dir() else ():
            ours = file.name == LINEAGE or file.name.startswith((".", CONVERTED))
            if file.is_file() and file.suffix in (".json", ".safetensors") and not ours:
                shutil.copyfile(file, staging / file.name)
    else:
        source.save_pretrained(str(staging), selected_adapters=[adapter])
        nested = staging / adapter
        if nested.is_dir():
            for file in nested.iterdir():
                file.rename(staging / file.name)
            nested.rmdir()
        (staging / "README.md").unlink(missing_ok=True)
    for needed in (CONFIG, WEIGHTS):
        if not (staging / needed).is_file():
            raise PolicyError(
                f"{source} holds no adapter in PEFT's format: {needed} is missing. Save it with "
                "save_pretrained of PEFT, as safetensors."
            )


def _number(version: str) -> int:
    match = _NUMBERED.fullmatch(version)
    return int(match[1]) if match else 0


def _highest(name: str) -> int:
    """The highest of v1, v2, … that is there or was once promoted."""
    there = [path.name for path in _folder(name).iterdir()] if _folder(name).is_dir() else []
    return max((_number(v) for v in [*there, *(c.version for c in history(name))]), default=0)


def _stack(changes: list[Change]) -> list[str]:
    """What is promoted over what, the base first."""
    stack = [BASE]
    for change in changes:
        if change.action == "promote":
            stack.append(change.version)
        elif len(stack) > 1:
            stack.pop()
    return stack


def _write_history(
    name: str, known: list[Change], action: Literal["promote", "rollback"], version: str
) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    changes = [*known, Change(action=action, version=version, at=at)]
    entries = [change.model_dump() for change in changes]
    write_json(_folder(name) / "history.json", {"format": 1, "history": entries})
