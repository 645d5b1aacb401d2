"""Random adapters, as PEFT writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model


def random_adapter(
    base: Any, folder: Path, *, rank: int = 4, scale: float = 0.15, **options: Any
) -> Path:
    """Write an adapter of every linear layer with random weights, B included, into `folder`."""
    import torch

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM", **options
    )
    model = get_peft_model(base.model, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    model.save_pretrained(str(folder))
    model.unload()
    return folder
