"""Base models in torch: the same GGUF weights as llama.cpp's, dequantised once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from policies.base import Frozen
from policies.hub.store import ModelFile


class Identity(Frozen):
    """Which base weights these are.

    `sha256` is the digest of the GGUF file, or of all files of a hub-style folder.
    """

    name: str
    sha256: str

    @property
    def version(self) -> str:
        """`<name>@sha256:<12>`, as LlamaCppPolicy has it for the same file."""
        return f"{self.name}@sha256:{self.sha256[:12]}"


class Base(NamedTuple):
    """A frozen base model (transformers), its tokenizer (fast) and its identity."""

    model: Any
    tokenizer: Any
    identity: Identity


def load_base(
    model: str | Path | ModelFile, *, dtype: str = "bfloat16", device: str | None = None
) -> Base:
    """The base model that `model` names, frozen and in eval mode.

    `model` is a name of `agent models list`, a GGUF file, or a folder as the hub has them
    (`config.json`, `*.safetensors`, a fast tokenizer). A GGUF is dequantised through
    transformers, which takes a while (45 s for a model of 0.5 billion parameters), and kept
    in `dtype` under its digest. `dtype` is "bfloat16", "float16" or "float32" (exactly what
    the file's quantised weights stand for). `device` is "cpu", "cuda" or "cuda:N"; default:
    CUDA where there is one. Raises PolicyError.
    """
    raise NotImplementedError
