"""An adapter in PEFT's format becomes the GGUF LoRA that llama.cpp loads, kept beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from policies.base import PolicyError
from policies.hub.adapters import CONFIG, CONVERTED, WEIGHTS, Lineage
from policies.hub.files import digest, locked, sync_directory, sync_file, write_json
from policies.hub.store import ModelFile

ARCHITECTURES = ("qwen2", "qwen3")
"""Whose attention weights stand in GGUF files as they do in torch: nothing to permute."""

_PREFIX = "base_model.model."
_ROLES = {".lora_A.weight": "lora_a", ".lora_B.weight": "lora_b"}
_MUST_BE_OFF = ("use_dora", "lora_bias", "fan_in_fan_out", "modules_to_save", "alpha_pattern",
                "rank_pattern", "layer_replication")  # fmt: skip


def gguf_adapter(folder: Path, lineage: Lineage, base: ModelFile) -> Path:
    """The GGUF form of the adapter in `folder`, made once for `base` and kept in `folder`.

    Every tensor is checked against the base's. Raises PolicyError when the adapter has what
    llama.cpp does not know, fits another model, or the package `gguf` is missing.
    """
    target, note = folder / CONVERTED, folder / f"{CONVERTED}.json"
    made_of = {"adapter": lineage.sha256, "base": base.sha256}
    with locked(folder / f".{CONVERTED}.lock"):
        known = _noted(note)
        intact = target.is_file() and digest(target) == known.get("sha256")
        if intact and known.get("made_of") == made_of:
            return target
        temporary = target.with_name(f".{CONVERTED}.{os.getpid()}.tmp")
        try:
            _convert(folder, lineage.reference, base.path, temporary)
            found = digest(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(folder)
        write_json(note, {"made_of": made_of, "sha256": found})
    return target


def _noted(note: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _convert(folder: Path, reference: str, base: Path, target: Path) -> None:
    try:
        import gguf
        import torch
        from safetensors.torch import load_file
    except ImportError as error:
        raise PolicyError(
            f"adapter {reference} must be converted for llama.cpp once, and {error.name} is "
            "missing: pip install 'apprentice-agent[train]'."
        ) from error
    try:
        config = dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        weights = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors has an error class of its own
        raise PolicyError(
            f"adapter {reference} cannot be read ({error}): it was damaged before it was saved. "
            f"Train or add it again, and agent models remove {reference}."
        ) from error
    alpha = _alpha(config, reference)
    architecture, shapes = _describe(gguf, base)
    if architecture not in ARCHITECTURES:
        raise PolicyError(
            f"adapters for the architecture {architecture!r} cannot be converted for llama.cpp "
            f"(only {', '.join(ARCHITECTURES)}): use it in torch, --model torch:{reference}."
        )
    names = gguf.get_tensor_name_map(
        next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture),
        1 + max((int(n.split(".")[1]) for n in shapes if n.startswith("blk.")), default=0),
    )
    writer = gguf.GGUFWriter(target, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for key, tensor in sorted(weights.items()):
        name, role = _split(key, names, reference)
        _check_shape(name, role, tuple(tensor.shape), shapes, reference)
        writer.add_tensor(f"{name}.{role}", tensor.to(torch.float32).contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    sync_file(target)


def _alpha(config: dict[str, Any], reference: str) -> float:
    """What llama.cpp divides by the rank to scale the adapter."""
    wrong = [key for key in _MUST_BE_OFF if config.get(key)]
    if config.get("bias", "none") != "none":
        wrong.append("bias")
    if config.get("peft_type") != "LORA" or wrong:
        raise PolicyError(
            f"adapter {reference} cannot be used by llama.cpp: it knows plain LoRA only, and this "
            f"is {config.get('peft_type')} with {', '.join(wrong) or 'nothing else'}. Use it in "
            f"torch, --model torch:{reference}."
        )
    rank, alpha = float(config.get("r", 8)), float(config.get("lora_alpha", 8))
    return alpha * rank**0.5 if config.get("use_rslora") else alpha


def _describe(gguf: Any, base: Path) -> tuple[str, dict[str, tuple[int, int]]]:
    """The architecture of a GGUF file and the (inputs, outputs) of its matrices."""
    reader = gguf.GGUFReader(base)
    architecture = str(reader.get_field("general.architecture").contents())
    shapes = {}
    for tensor in reader.tensors:
        if len(tensor.shape) == 2:
            shapes[tensor.name] = (int(tensor.shape[0]), int(tensor.shape[1]))
    return architecture, shapes


def _split(key: str, names: Any, reference: str) -> tuple[str, str]:
    """The base's tensor and the part that a tensor of PEFT's adapter is."""
    for suffix, role in _ROLES.items():
        if key.startswith(_PREFIX) and key.endswith(suffix):
            name = names.get_name(key.removeprefix(_PREFIX).removesuffix(suffix))
            if name is not None:
                return f"{name}.weight", role
    raise PolicyError(
        f"adapter {reference} has the tensor {key!r}, which llama.cpp has no place for: train "
        f"adapters on the linear layers alone, or use it in torch, --model torch:{reference}."
    )


def _check_shape(
    name: str,
    role: str,
    shape: tuple[int, ...],
    shapes: dict[str, tuple[int, int]],
    reference: str,
) -> None:
    """Raise PolicyError unless a part of an adapter fits the base's matrix `name`."""
    matrix = shapes.get(name)
    fits = matrix and len(shape) == 2 and (shape[1] == matrix[0] if role == "lora_a" else
                                           shape[0] == matrix[1])  # fmt: skip
    if not fits:
        raise PolicyError(
            f"adapter {reference} was made for another model: its {role} for {name} is "
            f"{' × '.join(map(str, shape))}, and the base has "
            f"{f'{matrix[1]} × {matrix[0]}' if matrix else 'no such matrix'} there. Name the "
            "model that it was trained on, or train anew."
        )
