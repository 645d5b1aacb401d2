"""Where models live on this machine, under which names, and whether they are intact."""

from __future__ import annotations

import difflib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from policies.base import Frozen, PolicyError
from policies.hub.catalogue import CATALOGUE
from policies.hub.files import locked, stamped_digest, write_json
from policies.paths import models_root

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HUB = re.compile(r"hf:([\w.-]+/[\w.-]+)/(.+\.gguf)")
_GGUF_MAGIC = b"GGUF"
_LEFTOVERS = (".part", ".hub.part", ".pypi.part", ".pypi.part.json")


@dataclass(frozen=True)
class ModelFile:
    """A model's weights on disk, verified: `sha256` is the digest of the file at `path`."""

    path: Path
    sha256: str
    name: str


class MissingWeights(PolicyError):
    """The model is known, but its weights are not on this machine."""


class Registered(Frozen):
    """A model added by the user. `source` is a path, an https URL or `hf:owner/repo/file.gguf`.

    `sha256` is None until the weights are first used; then they must not change.
    """

    name: str
    source: str
    sha256: str | None = None

    @property
    def local(self) -> bool:
        """True when `source` is a path on this machine."""
        return not self.source.startswith(("hf:", "https://", "http://"))


class Listed(Frozen):
    """One line of the list of models: `bytes` is None when the size is not known."""

    name: str
    title: str
    kind: Literal["catalogue", "added", "adapter"]
    bytes: int | None
    present: bool
    path: str
    promoted: bool = False

    @property
    def state(self) -> str:
        """In a word or two, for people."""
        return ("promoted" if self.promoted else "ready") if self.present else "not fetched"


def weights_path(name: str) -> Path:
    """Where the weights of catalogue model or added model `name` are, or will be."""
    if name in CATALOGUE:
        return models_root() / CATALOGUE[name].file
    entry = registered(name)
    return Path(entry.source) if entry.local else models_root() / "added" / f"{name}.gguf"


def locate(name_or_path: str) -> ModelFile:
    """The verified weights of a catalogue model, an added model, or a GGUF file.

    Verification reads the whole file once and then relies on its stamp. Raises
    MissingWeights when the weights were not pulled yet, PolicyError when the file is
    damaged, is no GGUF file, or the name is unknown.
    """
    if name_or_path in CATALOGUE:
        return _locate_catalogue(name_or_path)
    if name_or_path in _registry():
        return _locate_registered(name_or_path)
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return ModelFile(path.resolve(), _digest(path), path.stem)
    if path.suffix == ".gguf" or "/" in name_or_path:
        raise PolicyError(
            f"no model file at {path}. Check the path, or see `agent models list` for names."
        )
    raise unknown_model(name_or_path)


def is_known(name: str) -> bool:
    """Whether `name` is one of the catalogue or of the models that were added."""
    return name in CATALOGUE or name in _registry()


def unknown_model(name: str) -> PolicyError:
    """The error for a name that means nothing, naming those close to it."""
    known = [*CATALOGUE, *_registry()]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return PolicyError(
        f"unknown model {name!r}.{hint} `agent models list` shows the known names; "
        "`agent models add` makes a GGUF file known."
    )


def registered(name: str) -> Registered:
    """The added model `name`. Raises PolicyError when there is none."""
    try:
        return _registry()[name]
    except KeyError:
        raise unknown_model(name) from None


def add(source: str, name: str | None = None) -> Registered:
    """Make a GGUF file known by name: a local path, an https URL, or `hf:owner/repo/file.gguf`.

    The name defaults to the file's stem. Adding the same source again changes nothing;
    another source under a taken name is a PolicyError. Nothing is downloaded here.
    """
    if source.startswith("hf:"):
        if not _HUB.fullmatch(source):
            raise PolicyError(f"{source!r} is no hub reference: write hf:OWNER/REPO/FILE.gguf.")
    elif source.startswith(("https://", "http://")):
        parts = urlsplit(source)
        if not parts.path.endswith(".gguf"):
            raise PolicyError(f"{source!r} does not name a .gguf file.")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise PolicyError(f"{source!r} could be altered on its way: use https.")
    else:
        path = Path(source).expanduser().resolve()
        if not path.is_file():
            raise PolicyError(f"no model file at {path}: check the path.")
        check_magic(path)
        source = str(path)
    stem = Path(source.split("?")[0]).stem
    name = name or re.sub(r"[^A-Za-z0-9._-]", "-", stem).lstrip("._-").lower()
    if not _NAME.fullmatch(name):
        raise PolicyError(
            f"{name!r} cannot name a model: use letters, digits, dots, dashes and underscores."
        )
    with locked(_registry_path().with_suffix(".lock")):
        known = _registry()
        if name in known and known[name].source == source:
            return known[name]
        if name in CATALOGUE or name in known:
            raise PolicyError(f"the name {name!r} is taken: give another with --name.")
        known[name] = Registered(name=name, source=source)
        _save(known)
    return known[name]


def remove(name: str) -> Path | None:
    """Forget an added model, or free the weights of a catalogue model; returns what was deleted.

    What broken downloads left goes too. A file that the user added by path is never deleted.
    """
    path = weights_path(name)
    mine = name in CATALOGUE or not registered(name).local
    if name not in CATALOGUE:
        with locked(_registry_path().with_suffix(".lock")):
            known = _registry()
            known.pop(name, None)
            _save(known)
    if mine:
        for suffix in _LEFTOVERS:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.rmtree(path.with_name(f"{path.name}.pypi.part.tmp"), ignore_errors=True)
    if mine and path.exists():
        path.unlink()
        return path
    return None


def list_models() -> list[Listed]:
    """Every known model, catalogue first. Digests are not checked here."""
    listed = [
        Listed(
            name=entry.name,
            title=entry.title,
            kind="catalogue",
            bytes=entry.bytes,
            present=_size(weights_path(entry.name)) == entry.bytes,
            path=str(weights_path(entry.name)),
        )
        for entry in CATALOGUE.values()
    ]
    for entry in _registry().values():
        path = weights_path(entry.name)
        size = _size(path)
        listed.append(
            Listed(
                name=entry.name,
                title=entry.source,
                kind="added",
                bytes=size,
                present=size is not None,
                path=str(path),
            )
        )
    return listed


def hub_reference(source: str) -> tuple[str, str]:
    """Repository and file of an `hf:` source."""
    match = _HUB.fullmatch(source)
    if match is None:
        raise PolicyError(f"{source!r} is no hub reference: write hf:OWNER/REPO/FILE.gguf.")
    return match[1], match[2]


def _locate_catalogue(name: str) -> ModelFile:
    entry = CATALOGUE[name]
    path = weights_path(name)
    size = _size(path)
    if size is None:
        raise MissingWeights(
            f"the weights of {name} ({entry.bytes / 1e6:.0f} MB) are not on this machine: "
            f"run `agent models pull {name}`."
        )
    repair = f"Replace it with `agent models pull {name} --force`."
    if size != entry.bytes:
        raise PolicyError(
            f"{path} is truncated or altered: {size} bytes instead of {entry.bytes}. {repair}"
        )
    found = _digest(path)
    if found != entry.sha256:
        raise PolicyError(
            f"{path} is altered: its SHA-256 is {found} instead of {entry.sha256}. {repair}"
        )
    return ModelFile(path, found, name)


def _locate_registered(name: str) -> ModelFile:
    entry = registered(name)
    path = weights_path(name)
    if not path.is_file():
        if entry.local:
            raise PolicyError(
                f"{path}, added as {name}, is gone: put it back, or `agent models remove {name}`."
            )
        raise MissingWeights(
            f"the weights of {name} are not on this machine: run `agent models pull {name}`."
        )
    found = _digest(path)
    if entry.sha256 is None:
        record_digest(name, found)
    elif found != entry.sha256:
        repair = (
            f"If the change is yours, `agent models remove {name}` and add it again."
            if entry.local
            else f"Replace it with `agent models pull {name} --force`."
        )
        raise PolicyError(
            f"{path} is altered: its SHA-256 is {found} instead of {entry.sha256}. {repair}"
        )
    return ModelFile(path, found, name)


def record_digest(name: str, sha256: str) -> None:
    """Remember what the weights of added model `name` must hash to from now on."""
    with locked(_registry_path().with_suffix(".lock")):
        known = _registry()
        if name in known:
            known[name] = known[name].model_copy(update={"sha256": sha256})
            _save(known)


def check_magic(path: Path, source: str = "") -> None:
    """Raise PolicyError, naming `source` or the path, unless `path` starts as GGUF files do."""
    try:
        with path.open("rb") as handle:
            magic = handle.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise PolicyError(f"cannot read {path}: {error.strerror}.") from error
    if magic != _GGUF_MAGIC:
        raise PolicyError(
            f"{source or path} is no GGUF file: it starts with {magic!r}. "
            "Convert the model to GGUF, or name another file."
        )


def _digest(path: Path) -> str:
    check_magic(path)
    return stamped_digest(path, models_root() / "stamps")


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _registry_path() -> Path:
    return models_root() / "registry.json"


def _registry() -> dict[str, Registered]:
    path = _registry_path()
    try:
        stored: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = [Registered.model_validate(entry) for entry in stored["models"]]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise PolicyError(
            f"{path} is damaged: {error}. Mend or delete it, then add your models again."
        ) from error
    return {entry.name: entry for entry in entries}


def _save(known: dict[str, Registered]) -> None:
    write_json(
        _registry_path(),
        {"version": 1, "models": [entry.model_dump() for entry in known.values()]},
    )
