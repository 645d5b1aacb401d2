"""One string names a policy: a local model, a hosted one, a script, or a recording."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from policies.base import Policy, PolicyError
from policies.hub import store
from policies.hub.catalogue import CATALOGUE, DEFAULT_MODEL
from policies.hub.download import OnBytes, pull

_SERVER = re.compile(r"([^@]+/[^@]+)@(https?://.+)")
_AT_VERSION = re.compile(r"([A-Za-z0-9][\w.-]*)@([\w.:-]+)")


def open_policy(
    model: str = DEFAULT_MODEL,
    *,
    context_tokens: int | None = None,
    parallel: int | None = None,
    threads: int | None = None,
    adapter: Path | None = None,
    on_download: OnBytes | None = None,
    resident_seconds: float | None = None,
) -> Policy:
    """Open the policy that `model` names.

    - a name of the catalogue, or one given by `agent models add`
    - the path of a GGUF file; `hf:OWNER/REPO/FILE.gguf`; `https://….gguf`
    - `PROVIDER/MODEL` of any litellm provider; `openai/NAME@http://HOST:PORT/v1` for a server
    - `scripted:FILE`; `replay:ID` of a trajectory in the user's store, or `replay:last`

    Weights that are not on this machine are downloaded; `on_download` is first called with
    0 (or the bytes kept from before), the total in bytes and the source, then as bytes
    arrive. With `resident_seconds` a local model's engine is one that other processes share;
    it ends so long after its last use. Raises PolicyError, naming near matches, when `model`
    means nothing.
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
    server = _SERVER.fullmatch(model)
    if server or _is_hosted(model):
        from policies.hosted import LiteLLMPolicy

        name, base = (server[1], server[2]) if server else (model, None)
        return LiteLLMPolicy(name, api_base=base, context_tokens=context_tokens)
    file = weights(model, on_download)
    from policies.llamacpp import CONTEXT_TOKENS, PARALLEL, LlamaCppPolicy

    options: dict[str, Any] = {
        "context_tokens": context_tokens or CONTEXT_TOKENS,
        "parallel": parallel or PARALLEL,
        "threads": threads,
        "adapter": adapter,
    }
    if resident_seconds is None:
        return LlamaCppPolicy(file, **options)
    from policies.resident.client import open_resident

    return open_resident(file, **options, idle_seconds=resident_seconds)


def fetch(model: str, on_download: OnBytes | None = None) -> None:
    """Download the weights that `model` names, unless they are here or it has none.

    `model` and `on_download` are those of `open_policy`; nothing is loaded. Raises PolicyError.
    """
    model = model.strip()
    if not model or model.startswith(("scripted:", "replay:")):
        return
    if not _SERVER.fullmatch(model) and not _is_hosted(model):
        weights(model, on_download)


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
    versioned = _AT_VERSION.fullmatch(model)
    if versioned and not Path(model).exists():
        if versioned[1] in CATALOGUE:
            raise PolicyError(
                f"{model!r} asks for version {versioned[2]!r} of {versioned[1]}: adapters cannot "
                f"be named by version yet. Use {versioned[1]!r}."
            )
        raise store.unknown_model(versioned[1])
    try:
        return store.locate(model)
    except store.MissingWeights:
        return pull(model, on_download)
