"""One string names a policy: a local model, a hosted one, a script, or a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.base import Policy, PolicyError
from policies.hub import adapters, store
from policies.hub.catalogue import DEFAULT_MODEL
from policies.hub.download import OnBytes, pull

TORCH = "torch:"

_SERVER = re.compile(r"([^@]+/[^@]+)@(https?://.+)")


def open_policy(
    model: str = DEFAULT_MODEL,
    *,
    context_tokens: int | None = None,
    parallel: int | None = None,
    threads: int | None = None,
    adapter: Path | None = None,
    on_download: OnBytes | None = None,
    resident_seconds: float | None = None,
    request_seconds: float = 600.0,
) -> Policy:
    """Open the policy that `model` names.

    - a name of the catalogue, or one given by `agent models add`, with the adapter that was
      promoted for it, if any; NAME@VERSION with that adapter, NAME@base with none
    - the path of a GGUF file; `hf:OWNER/REPO/FILE.gguf`; `https://….gguf`
    - `torch:` before any of these, or before a folder as the hub has them: in torch instead of
      llama.cpp
    - `PROVIDER/MODEL` of any litellm provider; `openai/NAME@http://HOST:PORT/v1` for a server
    - `scripted:FILE`; `replay:ID` of a trajectory in the user's store, or `replay:last`

    Weights that are not on this machine are downloaded; `on_download` is first called with
    0 (or the bytes kept from before), the total in bytes and the source, then as bytes
    arrive; with `refuse_download` for it, MissingWeights is raised instead, before anything is
    asked of the network. With `resident_seconds` a local model's engine is one that other
    processes share; it ends so long after its last use. A hosted model has `request_seconds` for
    an answer. Raises PolicyError, naming near matches, when `model` means nothing.
    """
    model = model.strip()
    if not model:
        raise PolicyError("no model was named: see `agent models list`.")
    if model.startswith("scripted:"):
        from policies.scripted import ScriptedPolicy

        return ScriptedPolicy.load(Path(model.removeprefix("scripted:")).expanduser())
    if model.startswith("replay:"):
        from policies.experience.replay import open_replay

        return open_replay(model.removeprefix("replay:"), context_tokens)
    if model.startswith(TORCH):
        if adapter is not None:
            raise PolicyError("a GGUF adapter is for llama.cpp: name NAME@VERSION in torch.")
        return _open_torch(
            model.removeprefix(TORCH), context_tokens, parallel, threads, on_download
        )
    server = _SERVER.fullmatch(model)
    if server or _is_hosted(model):
        from policies.hosted import LiteLLMPolicy

        name, base = (server[1], server[2]) if server else (model, None)
        return LiteLLMPolicy(
            name, api_base=base, context_tokens=context_tokens, timeout=request_seconds
        )
    found = local(model, on_download)
    from policies.llamacpp import CONTEXT_TOKENS, PARALLEL, LlamaCppPolicy

    options: dict[str, Any] = {
        "context_tokens": context_tokens or CONTEXT_TOKENS,
        "parallel": parallel or PARALLEL,
        "threads": threads,
        "adapter": adapter or found.gguf_adapter(),
        "adapter_sha256": found.lineage.sha256 if found.lineage and not adapter else None,
    }
    if resident_seconds is None:
        return LlamaCppPolicy(found.file, **options)
    from policies.resident.client import open_resident

    return open_resident(found.file, **options, idle_seconds=resident_seconds)


@dataclass(frozen=True)
class Local:
    """A model on this machine: its weights, and the adapter that goes on them, if any."""

    file: store.ModelFile
    folder: Path | None = None
    lineage: adapters.Lineage | None = None

    def gguf_adapter(self) -> Path | None:
        """The adapter as llama.cpp loads it, converted if it was not yet. Raises PolicyError."""
        if self.folder is None or self.lineage is None:
            return None
        from policies.hub.lora import gguf_adapter

        return gguf_adapter(self.folder, self.lineage, self.file)


def local(model: str, on_download: OnBytes | None = None) -> Local:
    """What the name of a local model stands for, downloaded and checked. Raises PolicyError."""
    name, version = _adapter_of(model)
    if version is None:
        return Local(weights(name, on_download))
    folder = adapters.load_adapter_path(f"{name}@{version}")
    lineage = adapters.read_lineage(folder)
    file = weights(name, on_download)
    adapters.check_base(lineage, file.sha256)
    return Local(file, folder, lineage)


def _open_torch(
    model: str,
    context_tokens: int | None,
    parallel: int | None,
    threads: int | None,
    on_download: OnBytes | None,
) -> Policy:
    """The policy in torch that `model`, without its `torch:`, names."""
    from policies.torch.load import load_base
    from policies.torch.policy import CONTEXT_TOKENS, PARALLEL, TorchPolicy

    path = Path(model).expanduser()
    found = None if path.is_dir() else local(model, on_download)
    policy = TorchPolicy(
        load_base(found.file if found else path),
        context_tokens=context_tokens or CONTEXT_TOKENS,
        parallel=parallel or PARALLEL,
        threads=threads,
    )
    if found and found.folder and found.lineage:
        policy.load_adapter(found.folder, found.lineage.version)
        policy.use(found.lineage.version)
    return policy


def _adapter_of(model: str) -> tuple[str, str | None]:
    """The base model that `model` names, and the version of the adapter on it, if any."""
    reference = None if Path(model).exists() else adapters.split_reference(model)
    name, version = reference or (model, None)
    if not store.is_known(name):
        if reference:
            raise store.unknown_model(name)
        return model, None
    version = version or adapters.current(name)
    return name, None if version == adapters.BASE else version


def pinned(model: str) -> str:
    """`model`, with the version that a plain NAME means now: NAME@VERSION or NAME@base.

    Other names stay as they are. Raises PolicyError.
    """
    if model.startswith(TORCH):
        return TORCH + pinned(model.removeprefix(TORCH))
    if not store.is_known(model) or Path(model).exists():
        return model
    name, version = _adapter_of(model)
    return f"{name}@{version or adapters.BASE}"


def fetch(model: str, on_download: OnBytes | None = None) -> None:
    """Download the weights that `model` names, unless they are here or it has none.

    `model` and `on_download` are those of `open_policy`; nothing is loaded. Raises PolicyError.
    """
    model = model.strip().removeprefix(TORCH)
    if not model or model.startswith(("scripted:", "replay:")) or Path(model).is_dir():
        return
    if not _SERVER.fullmatch(model) and not _is_hosted(model):
        weights(_adapter_of(model)[0], on_download)


def refuse_download(done: int, total: int, source: str) -> None:
    """As `on_download`: weights that are not on this machine are not fetched."""
    raise store.MissingWeights(f"nothing is downloaded here, but {source} was asked for weights.")


def _is_hosted(model: str) -> bool:
    """True for PROVIDER/MODEL with a provider that litellm knows, and no such file."""
    if model.startswith(("hf:", "http://", "https://", "/", ".", "~")) or "/" not in model:
        return False
    if model.endswith(".gguf") or Path(model).exists():
        return False
    from policies.hosted import load_litellm

    providers = {str(getattr(p, "value", p)) for p in load_litellm().provider_list}
    if model.split("/", 1)[0] in providers:
        return True
    raise PolicyError(
        f"{model!r} names no file, and {model.split('/', 1)[0]!r} is no provider that litellm "
        "knows. `agent models list` shows local models; a model on the hub is "
        "hf:OWNER/REPO/FILE.gguf."
    )


def weights(model: str, on_download: OnBytes | None) -> store.ModelFile:
    """The GGUF file that `model` names, downloaded if it is not here. Raises PolicyError."""
    if model.startswith(("hf:", "http://", "https://")):
        model = store.add(model).name
    try:
        return store.locate(model)
    except store.MissingWeights:
        if on_download is refuse_download:
            raise
        return pull(model, on_download)
