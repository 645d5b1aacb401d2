"""Base weights in torch for training: a folder as hubs have them, a GGUF, or a name for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from policies.hub.files import digest
from policies.hub.store import locate
from policies.learning.errors import LearningError


class Weights(NamedTuple):
    """A frozen model of transformers, its tokenizer, and `NAME@sha256:…` where the file is one."""

    model: Any
    tokenizer: Any
    version: str


def load_weights(
    model: str, *, dtype: str = "float32", device: str = "cpu", labels: int | None = None
) -> Weights:
    """Load what `model` names. With `labels` it classifies sequences instead of writing.

    Raises PolicyError when there is nothing of that name, or transformers cannot load it.
    """
    try:
        import torch
        from transformers import (
            AutoModelForCausalLM,
            AutoModelForSequenceClassification,
            AutoTokenizer,
        )
    except ImportError as error:
        raise LearningError(
            f"training needs packages that are not here ({error.name}): "
            "pip install 'apprentice-agent[train]'."
        ) from error
    folder = Path(model).expanduser()
    options: dict[str, Any] = {}
    if folder.is_dir():
        version = f"{folder.resolve().name}@sha256:{_folder_digest(folder)[:12]}"
    else:
        file = locate(model)
        folder, options = file.path.parent, {"gguf_file": file.path.name}
        version = f"{file.name}@sha256:{file.sha256[:12]}"
    kind = AutoModelForCausalLM if labels is None else AutoModelForSequenceClassification
    more = {} if labels is None else {"num_labels": labels}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **options)
        found = kind.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            attn_implementation="sdpa",
            **options,
            **more,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise LearningError(f"transformers could not load {model}: {first}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if labels is not None:
        found.config.pad_token_id = tokenizer.pad_token_id
    found.requires_grad_(False)
    return Weights(found.to(device), tokenizer, version)


def _folder_digest(folder: Path) -> str:
    """A digest of the weights and the configuration in a folder."""
    import hashlib

    names = sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")])
    return hashlib.sha256("".join(f"{p.name}:{digest(p)}" for p in names).encode()).hexdigest()
