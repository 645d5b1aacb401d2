"""The adapter that training begins with, and the one that it leaves, by NAME@VERSION."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agent.status import UsageError
from agent.train.request import Request
from policies.choose import local
from policies.hub.adapters import WEIGHTS, Lineage, list_adapters, save_adapter
from policies.hub.files import digest
from policies.hub.store import MissingWeights, ModelFile, is_known, locate
from policies.torch.load import Identity


class Start(NamedTuple):
    """Base weights, and the adapter to go on from: its folder and what it is called."""

    base: Path | ModelFile
    parent: Path | None
    parent_name: str | None


def start_of(request: Request) -> Start:
    """What the request's model stands for. Raises PolicyError, UsageError."""
    given = request.parent
    folder = Path(request.model).expanduser()
    if folder.is_dir():
        return Start(folder, given, str(given.resolve()) if given else None)
    found = local(request.model)
    if found.folder is None or found.lineage is None:
        return Start(found.file, given, str(given.resolve()) if given else None)
    if given is not None:
        raise UsageError(
            f"{request.model} means {found.lineage.reference}, and --parent names another adapter",
            f"Give one: --model {found.lineage.name}@base with --parent, or --model alone.",
        )
    return Start(found.file, found.folder, found.lineage.reference)


def keep(adapter: Path, base: Identity, lineage: Mapping[str, Any]) -> str:
    """Keep an adapter as NAME@VERSION, once; '' where its base is not what such a name means."""
    try:
        if not is_known(base.name) or locate(base.name).sha256 != base.sha256:
            return ""
    except MissingWeights:
        return ""
    sha256 = digest(adapter / WEIGHTS)
    for kept in list_adapters(base.name):
        if kept.sha256 == sha256:
            return kept.reference
    return save_adapter(
        adapter,
        Lineage(
            name=base.name,
            base_sha256=base.sha256,
            method=lineage["trainer"],
            parent=lineage["parent"],
            data_sha256=lineage["data"],
            config=lineage["config"],
            metrics=lineage["metrics"],
            code_version=lineage["code_version"],
        ),
    )
