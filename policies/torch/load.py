"""Base models in torch: the same GGUF weights as llama.cpp's, dequantised once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from policies.base import Frozen, PolicyError
from policies.hub import store
from policies.hub.download import OnBytes, pull
from policies.hub.files import locked, stamped_digest, sync_directory, sync_folder
from policies.hub.store import ModelFile
from policies.paths import models_root

INSTALL = "pip install 'apprentice-agent[train]'"
_DTYPES = ("bfloat16", "float16", "float32")


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
    model: str | Path | ModelFile,
    *,
    dtype: str = "bfloat16",
    device: str | None = None,
    labels: int | None = None,
    on_download: OnBytes | None = None,
) -> Base:
    """The base model that `model` names, frozen and in eval mode.

    `model` is a name of `agent models list`, a GGUF file, or a folder as the hub has them
    (`config.json`, `*.safetensors`, a fast tokenizer). A GGUF is dequantised through
    transformers, which takes a while, and kept in `dtype` beside the models, under its digest.
    `dtype` is "bfloat16", "float16" or "float32" (exactly what the file's quantised weights
    stand for). `device` is "cpu", "cuda" or "cuda:N"; default: CUDA where there is one.
    With `labels` the model classifies sequences instead of writing. Weights that are not on this
    machine are downloaded. Raises PolicyError.
    """
    if dtype not in _DTYPES:
        raise PolicyError(f"{dtype!r} is no precision: use one of {', '.join(_DTYPES)}.")
    transformers = load_transformers()
    folder = Path(model).expanduser() if isinstance(model, str | Path) else None
    if folder is not None and folder.is_dir():
        identity = Identity(name=folder.resolve().name, sha256=_digest_folder(folder))
        kept = folder
    else:
        file = model if isinstance(model, ModelFile) else _locate(str(model), on_download)
        identity = Identity(name=file.name, sha256=file.sha256)
        kept = _dequantised(transformers, file, dtype)
    place = _device(device)
    with quietly(transformers):
        try:
            kind, more = transformers.AutoModelForCausalLM, {}
            if labels is not None:
                kind, more = transformers.AutoModelForSequenceClassification, {"num_labels": labels}
            network = kind.from_pretrained(kept, dtype=dtype, local_files_only=True, **more)
            tokenizer = transformers.AutoTokenizer.from_pretrained(kept, local_files_only=True)
        except Exception as error:
            repair = f" Delete {kept}: it is made anew." if kept != folder else ""
            raise PolicyError(
                f"transformers could not load {kept}: {_first_line(error)}.{repair}"
            ) from error
    if not tokenizer.is_fast or not tokenizer.chat_template:
        raise PolicyError(
            f"{identity.name} has no fast tokenizer with a chat template: choose an instruction-"
            "tuned model."
        )
    _keep_text_as_it_is(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    network.config.pad_token_id = tokenizer.pad_token_id
    network.requires_grad_(False)
    return Base(network.to(place).eval(), tokenizer, identity)


def load_transformers() -> Any:
    """The library, or PolicyError that says how to install it."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise PolicyError(
            f"models in torch need packages that are not here ({error.name}): {INSTALL}."
        ) from error
    return transformers


@contextlib.contextmanager
def quietly(transformers: Any) -> Iterator[None]:
    """Without transformers' progress bars and notes."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _locate(model: str, on_download: OnBytes | None) -> ModelFile:
    try:
        return store.locate(model)
    except store.MissingWeights:
        return pull(model, on_download)


def _dequantised(transformers: Any, file: ModelFile, dtype: str) -> Path:
    """The folder with the weights of a GGUF file in `dtype`, made if it is not there.

    It appears whole or not at all; another process that makes it is waited for. A float32
    one, from which transformers rounds while it loads, does for every precision.
    """
    root = models_root() / "dequantised"
    kept = root / f"{file.sha256[:16]}-{dtype}"
    exact = root / f"{file.sha256[:16]}-float32"
    with locked(root / f".{kept.name}.lock"):
        if kept.is_dir() or exact.is_dir():
            return kept if kept.is_dir() else exact
        for leftover in root.glob(f".{kept.name}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        staging = root / f".{kept.name}.{secrets.token_hex(4)}.tmp"
        staging.mkdir()
        try:
            with quietly(transformers), contextlib.redirect_stderr(io.StringIO()):
                _write_dense(transformers, file.path, dtype, staging)
            sync_folder(staging)
            staging.rename(kept)
            sync_directory(root)
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(
                f"{file.path} could not be dequantised for torch: {_first_line(error)}. Its "
                "architecture may be unknown to transformers, the package `gguf` missing "
                f"({INSTALL}), or the disk full: {root}."
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return kept


def _write_dense(transformers: Any, path: Path, dtype: str, folder: Path) -> None:
    """Write model and tokenizer of the GGUF file at `path` into `folder`, as the hub has them."""
    from tokenizers import AddedToken

    source = {"gguf_file": path.name, "local_files_only": True}
    dense = getattr(transformers, "GgufConfig", None)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent,
        dtype=dtype,
        **source,
        **({"quantization_config": dense(dequantize=True)} if dense else {}),
    )
    if not all(parameter.is_floating_point() for parameter in model.parameters()):
        raise ValueError("its weights stayed quantised")
    # transformers refuses to save what was ever quantised, though it no longer is.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, **source)
    kinds = _kinds_of_tokens(path)
    for kind, special in (("CONTROL", True), ("USER_DEFINED", False)):
        tokenizer.add_tokens(
            [AddedToken(name, special=special, normalized=False) for name in kinds[kind]],
            special_tokens=special,
        )
    tokenizer.save_pretrained(folder)
    _forget_tokens(folder / "tokenizer.json", kinds["UNUSED"])


def _kinds_of_tokens(path: Path) -> dict[str, list[str]]:
    """The tokens of a GGUF file that are no ordinary ones, by GGUF's names of their types."""
    import gguf

    reader = gguf.GGUFReader(path)
    fields = [reader.get_field(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type")]
    names, types = (field.contents() if field else [] for field in fields)
    kinds: dict[str, list[str]] = {"CONTROL": [], "USER_DEFINED": [], "UNUSED": []}
    for name, value in zip(names, types, strict=True):
        kinds.get(gguf.TokenType(value).name, []).append(name)
    return kinds


def _forget_tokens(file: Path, unused: list[str]) -> None:
    """Take `unused` out of a tokenizer's vocabulary: like llama.cpp, it gives them no text."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    for name in unused:
        stored["model"]["vocab"].pop(name, None)
    file.write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")


def _digest_folder(folder: Path) -> str:
    """One digest over names and contents of the files that make a hub-style model."""
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in (".json", ".safetensors", ".jinja", ".txt", ".model")
    )
    if not any(path.suffix == ".safetensors" for path in files):
        raise PolicyError(
            f"{folder} is no model: it needs config.json, a tokenizer and *.safetensors."
        )
    seen = hashlib.sha256()
    for path in files:
        found = stamped_digest(path, models_root() / "stamps")
        seen.update(f"{path.name} {found}\n".encode())
    return seen.hexdigest()


def _device(device: str | None) -> str:
    import torch

    there = torch.cuda.is_available()
    if device is not None and device.startswith("cuda") and not there:
        raise PolicyError("torch sees no CUDA device: use the CPU, or install a build for CUDA.")
    return device or ("cuda" if there else "cpu")


def _keep_text_as_it_is(tokenizer: Any) -> None:
    """Take Unicode normalisation out, as llama.cpp has none: what is prompted is what was said."""
    from tokenizers import normalizers

    if isinstance(tokenizer.backend_tokenizer.normalizer, normalizers.NFC):
        tokenizer.backend_tokenizer.normalizer = None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
