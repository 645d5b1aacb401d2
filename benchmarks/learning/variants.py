"""What is measured: a step of each trainer on the same groups, each in a process of its own.

`python -m benchmarks.learning.variants NAME MODEL …` prints one line of JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.learning.groups import Shape, made_up, trl_batch, trl_trainer
from policies.learning import grpo, ppo
from policies.learning.base import AdapterConfig, SharedBase, lora
from policies.learning.config import DriftConfig
from policies.learning.data import Data, DataConfig, by_token
from policies.learning.heap import give_back_freed
from policies.learning.losses import PolicyLossConfig, policy_terms, value_terms
from policies.learning.report import peak_memory_mb
from policies.learning.run import Run
from policies.learning.steps import adam
from policies.torch.load import Base, load_base

LOSS = PolicyLossConfig(kl=0.01)


def inference(weights: Base, data: Data, options: argparse.Namespace) -> dict[str, float]:
    """The base alone, that writes a group as long as the data's."""
    first = data.sequences[0]
    start = first.mask.index(True)
    with torch.no_grad():
        began = time.monotonic()
        weights.model.generate(
            input_ids=torch.tensor([first.ids[:start]], device=weights.model.device),
            attention_mask=torch.ones((1, start), dtype=torch.int64, device=weights.model.device),
            do_sample=True,
            num_return_sequences=len(data.groups[0]),
            min_new_tokens=first.trained,
            max_new_tokens=first.trained,
        )
    tokens = first.trained * len(data.groups[0])
    return {"tokens_per_second": tokens / (time.monotonic() - began)}


def shared(
    weights: Base, data: Data, options: argparse.Namespace, *, trainer: str, share: bool = True
) -> dict[str, float]:
    """Our trainer with all roles as adapters on the one base that was loaded."""
    drift = DriftConfig(mean=1e9, far_share=1)
    layout = DataConfig(groups_per_step=1, max_nodes=1 << 20, share_prefixes=share)
    settings: dict[str, Any] = {
        "steps": options.steps,
        "loss": LOSS,
        "drift": drift,
        "data": layout,
        "checkpointing": options.checkpointing,
    }
    base = SharedBase(
        weights.model,
        AdapterConfig(),
        value=trainer == "ppo",
        checkpointing=options.checkpointing,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), {}, plots=False)
        if trainer == "ppo":
            ppo.train(base, data, ppo.PpoConfig(**settings), run)
        else:
            grpo.train(base, data, grpo.GrpoConfig(**settings), run)
        return {"tokens_per_second": statistics.median(r["tokens_per_second"] for r in run.rows)}


def copies(
    weights: Base, data: Data, options: argparse.Namespace, *, trainer: str
) -> dict[str, float]:
    """The same step with a whole model for each role: two for GRPO, four for PPO."""
    roles = ("reference", "value", "reward") if trainer == "ppo" else ("reference",)
    others = {role: copy.deepcopy(weights.model) for role in roles}
    policy = SharedBase(weights.model, AdapterConfig(), checkpointing=options.checkpointing)
    reference = SharedBase(others["reference"], AdapterConfig())
    optimisers = [adam(policy.parameters("policy"), 1e-5)]
    value = None
    if trainer == "ppo":
        value = SharedBase(
            others["value"], AdapterConfig(), value=True, checkpointing=options.checkpointing
        )
        optimisers.append(adam(value.parameters("value"), 1e-5))
    advantages = grpo.advantages_of(data, grpo.GrpoConfig())
    layout = DataConfig(max_nodes=1 << 20)
    speeds = []
    for step in range(options.steps):
        began = time.monotonic()
        for places, packed in data.packs(step % len(data.groups), layout):
            packed = packed.to(policy.device)
            advantage = by_token(data, places, packed, advantages)
            with torch.no_grad():
                if trainer == "ppo":
                    others["reward"].get_decoder()(packed.ids)
                known = reference.logprobs(packed, "reference").logprobs
            new = policy.logprobs(packed).logprobs
            old = new.detach()
            policy_terms(new, old, old, advantage, known, LOSS).mean().backward()
            if value is not None:
                with value.active("value"):
                    values = value.values(packed)
                    value_terms(values, values.detach(), advantage, 0.2).mean().backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        speeds.append(packed.trained / (time.monotonic() - began))
    return {"tokens_per_second": statistics.median(speeds)}


def trl(weights: Base, data: Data, options: argparse.Namespace) -> dict[str, float]:
    """TRL's GRPOTrainer: its loss, a backward pass and a step, on the rows of a group."""
    from peft import get_peft_model

    count = len(data.groups[0])
    model = get_peft_model(weights.model, lora(AdapterConfig()))
    with tempfile.TemporaryDirectory() as folder:
        trainer = trl_trainer(
            model,
            weights.tokenizer,
            folder,
            count,
            use_cpu=weights.model.device.type == "cpu",
            bf16=False,
            beta=LOSS.kl,
            activation_checkpointing=options.checkpointing,
        )
        optimiser = adam([p for p in model.parameters() if p.requires_grad], 1e-5)
        advantages = grpo.advantages_of(data, grpo.GrpoConfig())
        speeds = []
        for step in range(options.steps):
            places = data.groups[step % len(data.groups)]
            flat = torch.zeros(sum(data.sequences[place].trained for place in places))
            batch = trl_batch(data, places, advantages, flat - 8, flat - 8, flat - 8, 2.0)
            batch = {name: value.to(model.device) for name, value in batch.items()}
            began = time.monotonic()
            trainer._compute_loss(model, batch).backward()
            optimiser.step()
            optimiser.zero_grad()
            speeds.append(len(flat) / (time.monotonic() - began))
    return {"tokens_per_second": statistics.median(speeds)}


VARIANTS: dict[str, Callable[[Base, Data, argparse.Namespace], dict[str, float]]] = {
    "inference": inference,
    "grpo": lambda *given: shared(*given, trainer="grpo"),
    "grpo unpacked": lambda *given: shared(*given, trainer="grpo", share=False),
    "grpo copies": lambda *given: copies(*given, trainer="grpo"),
    "ppo": lambda *given: shared(*given, trainer="ppo"),
    "ppo copies": lambda *given: copies(*given, trainer="ppo"),
    "trl grpo": trl,
}


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all programs here have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", help="a folder of weights, a GGUF, or a name")
    parser.add_argument("--samples", type=int, default=8, help="samples of a group")
    parser.add_argument("--prompt", type=int, default=400, help="tokens of the prompt")
    parser.add_argument("--completion", type=int, default=75, help="tokens of a completion")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations")
    return parser


def main() -> None:
    """Measure one variant."""
    parser = arguments("One variant, measured in this process.")
    parser.add_argument("--variant", required=True, choices=VARIANTS)
    options = parser.parse_args()
    if options.checkpointing:
        give_back_freed()
    torch.manual_seed(0)
    imported = peak_memory_mb()
    weights = load_base(options.model, dtype=options.dtype, device=options.device)
    loaded = peak_memory_mb()
    shape = Shape(1, options.samples, options.prompt, options.completion)
    data = made_up(shape, weights.model.config.vocab_size)
    size = sum(p.numel() * p.element_size() for p in weights.model.parameters()) / 2**20
    found = VARIANTS[options.variant](weights, data, options)
    report = {
        "variant": options.variant,
        "weights_mb": size,
        "imported_mb": imported,
        "loaded_mb": loaded,
        "peak_mb": peak_memory_mb(),
        **found,
    }
    print(
        json.dumps({name: round(v, 1) if isinstance(v, float) else v for name, v in report.items()})
    )


if __name__ == "__main__":
    main()
