"""What the trainers on TRL have in common: settings, exact tokens as rows, resumption, curves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pydantic import Field

from policies.base import Frozen
from policies.learning.base import AdapterConfig, lora
from policies.learning.report import Row, draw, peak_memory_mb
from policies.learning.rewards import RewardConfig
from policies.learning.run import Run, write_atomically
from policies.learning.tokens import Tokens

if TYPE_CHECKING:
    import torch

IGNORED = -100
_NAMES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "entropy": "entropy",
    "rewards/accuracies": "accuracy",
    "accuracy": "accuracy",
    "kl": "kl",
}


class TrlConfig(Frozen):
    """What SFT, DPO, KTO and the reward model share. `steps` goes before `epochs`."""

    epochs: float = Field(1.0, gt=0)
    steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    batch: int = Field(1, ge=1, description="sequences (or pairs) of a forward pass")
    accumulate: int = Field(4, ge=1, description="forward passes of a step")
    warmup: int = Field(0, ge=0)
    grad_clip: float = Field(1.0, gt=0)
    longest: int = Field(4096, ge=8, description="longer sequences are left out")
    save_every: int = Field(10, ge=1)
    seed: int = 0
    checkpointing: bool = False
    adapters: AdapterConfig = AdapterConfig()
    rewards: RewardConfig = RewardConfig()


def arguments(config: TrlConfig, run: Run, dtype: torch.dtype, **more: Any) -> dict[str, Any]:
    """The arguments that all of TRL's configs take."""
    return {
        "output_dir": str(run.folder / "checkpoints"),
        "num_train_epochs": config.epochs,
        "max_steps": config.steps or -1,
        "learning_rate": config.learning_rate,
        "per_device_train_batch_size": config.batch,
        "gradient_accumulation_steps": config.accumulate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": config.warmup,
        "max_grad_norm": config.grad_clip,
        "weight_decay": 0.0,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 2,
        "seed": config.seed,
        "data_seed": config.seed,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": run.workers.device == "cpu",
        "bf16": str(dtype) == "torch.bfloat16",
        "fp16": False,
        "activation_checkpointing": config.checkpointing,
        "dataloader_pin_memory": run.workers.device != "cpu",
        "max_length": None,
        **more,
    }


def adapted(model: Any, config: TrlConfig, parent: Path | None) -> Any:
    """The model with a policy adapter to train: a new one, or `parent`'s weights to go on from."""
    from peft import PeftModel, get_peft_model

    if parent is not None:
        return PeftModel.from_pretrained(model, str(parent), is_trainable=True)
    return get_peft_model(model, lora(config.adapters))


def labelled(tokens: Tokens) -> dict[str, list[int]]:
    """A row of SFT: ids, and labels only where the policy wrote."""
    pairs = zip(tokens.ids, tokens.mask, strict=True)
    return {
        "input_ids": list(tokens.ids),
        "labels": [token if trained else IGNORED for token, trained in pairs],
    }


def fit(trainer: Any, run: Run, metrics: Mapping[str, Any]) -> Path:
    """Train, going on from the newest whole checkpoint; write the adapter and the curves.

    On devices without Triton, TRL's SFT and KTO compute the output layer at every token, so that
    its shapes never change: compilers gain by that. Where nothing is compiled, much time is lost.
    """
    trainer.add_callback(_recorder(run))
    found = newest(run.folder / "checkpoints")
    with patch("trl.trainer.utils._use_triton", lambda device: True):
        trainer.train(resume_from_checkpoint=str(found) if found else None)
    target = run.folder / "adapter"
    if run.workers.first:
        save(trainer.model, target)
        lineage = {**run.identity, "metrics": {**metrics, "steps": trainer.state.global_step}}
        write_atomically(target / "lineage.json", json.dumps(lineage, indent=2).encode())
        if run.plots:
            draw(run.rows, run.folder / "curves.png")
    run.workers.wait()
    return target


def save(model: Any, folder: Path) -> None:
    """Write the trained adapter in PEFT's format."""
    model.save_pretrained(str(folder), selected_adapters=["default"])
    (folder / "README.md").unlink(missing_ok=True)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that was wholly written; those that a kill cut off are removed."""
    if not folder.is_dir():
        return None
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1]))
    for path in found:
        if _whole(path):
            return path
        shutil.rmtree(path)
    return None


def _whole(path: Path) -> bool:
    """Whether all of a checkpoint can be read: what is written last, and every tensor file."""
    import pickle

    import torch

    try:
        json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        for name in ("optimizer.pt", "scheduler.pt"):
            torch.load(path / name, weights_only=True)
        from safetensors import safe_open

        with safe_open(path / "adapter_model.safetensors", "pt") as weights:
            weights.keys()
        return any(path.glob("rng_state*.pth"))
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError):
        return False
    except Exception as error:  # safetensors raises a class of its own
        if "safetensor" in type(error).__name__.lower():
            return False
        raise


def _recorder(run: Run) -> Any:
    """A callback that turns the trainer's logs into rows of the curves."""
    import time

    from transformers import TrainerCallback

    class Recorder(TrainerCallback):  # type: ignore[misc]
        """Keeps the rows of a run that goes on, less those after its checkpoint."""

        def __init__(self) -> None:
            self.before = time.monotonic()
            self.tokens = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """Take up the rows that were written before."""
            done = state.global_step
            run.rows = [row for row in _kept(run.folder / "curves.json") if row["step"] <= done]
            self.before = time.monotonic()

        def on_log(
            self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any
        ) -> None:
            """Make a row of a step."""
            if "loss" not in logs:
                return
            now = time.monotonic()
            row: Row = {"step": float(state.global_step)}
            row |= {name: float(logs[key]) for key, name in _NAMES.items() if key in logs}
            if "num_tokens" in logs:
                tokens, self.tokens = float(logs["num_tokens"]) - self.tokens, logs["num_tokens"]
                row["read_per_second"] = tokens / (now - self.before)
            row |= {"seconds": now - self.before, "memory_mb": peak_memory_mb()}
            self.before = now
            run.record(row, int(state.max_steps))

    return Recorder()


def _kept(path: Path) -> Sequence[Row]:
    try:
        rows: Sequence[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError):
        return []
    return rows
