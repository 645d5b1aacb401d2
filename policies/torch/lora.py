"""LoRA adapters (PEFT) on one frozen base in torch: put on, switched, taken off."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policies.base import PolicyError
from policies.torch.load import INSTALL


def attach(model: Any, folder: Path, name: str) -> Any:
    """The PeftModel of `model` with the adapter in `folder` as `name`, frozen.

    `model` itself is wrapped, not copied. Raises PolicyError when the adapter does not fit.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise PolicyError(f"adapters in torch need PEFT: {INSTALL}.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT's calls of what transformers deprecates
            if isinstance(model, PeftModel):
                model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
                return model
            return PeftModel.from_pretrained(
                model, str(folder), adapter_name=name, is_trainable=False
            ).eval()
    except Exception as error:
        raise PolicyError(
            f"the adapter in {folder} does not fit the model: {_short(error)}. It is damaged or "
            "was made for another model: name that one, or train anew."
        ) from error


@contextmanager
def active(model: Any, name: str | None) -> Iterator[None]:
    """`model` with adapter `name` alone, or with none; afterwards it is as it was.

    That includes which weights are trained: PEFT unfreezes what it switches on.
    """
    if not hasattr(model, "disable_adapter"):
        yield
        return
    before = model.active_adapter
    trained = [(weight, weight.requires_grad) for weight in model.parameters()]
    try:
        if name is None:
            with model.disable_adapter():
                yield
        else:
            if before != name:
                model.set_adapter(name)
            yield
    finally:
        if model.active_adapter != before:
            model.set_adapter(before)
        for weight, wanted in trained:
            weight.requires_grad_(wanted)


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:300] or type(error).__name__
