"""One frozen base; policy, reference, value and reward are adapters and heads on it.

PPO classically holds four models and GRPO three. Here the base weights are held once: the policy is
a LoRA adapter (arXiv:2106.09685), the reference is the base with adapters off, the value is an
adapter of its own with a linear head. One is switched on at a time, so a role's backward pass must
end before the next role's forward pass begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from policies.base import Frozen
from policies.learning.errors import LearningError
from policies.learning.logprobs import Scores, hidden_states, score
from policies.learning.packed import Pack

if TYPE_CHECKING:
    import torch
    from torch import nn

Role = Literal["policy", "reference", "value", "reward"]
POLICY: Final = "policy"
VALUE: Final = "value"
_ODD_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


class AdapterConfig(Frozen):
    """The shape of the LoRA adapters: all linear layers of Qwen2- and Llama-like models."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0)
    targets: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip


class SharedBase:
    """A causal language model of transformers with adapters for each role.

    `model` is changed: its weights are frozen and adapters are put into its layers. `parent` is the
    folder of a PEFT adapter to go on from; without one the policy begins as the base itself. The
    value adapter and head begin at zero: every value is 0.
    """

    def __init__(
        self,
        model: Any,
        config: AdapterConfig,
        *,
        value: bool = False,
        parent: Path | None = None,
        checkpointing: bool = False,
    ) -> None:
        import torch
        from peft import PeftModel, get_peft_model

        _check(model)
        if parent is None:
            self.peft = get_peft_model(model, lora(config), adapter_name=POLICY)
        else:
            try:
                self.peft = PeftModel.from_pretrained(
                    model, str(parent), adapter_name=POLICY, is_trainable=True
                )
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                raise LearningError(
                    f"the adapter in {parent} does not fit this model: {error}"
                ) from error
        self.value_head: nn.Linear | None = None
        if value:
            self.peft.add_adapter(VALUE, lora(config))
            self.value_head = torch.nn.Linear(model.config.hidden_size, 1).to(self.device)
            torch.nn.init.zeros_(self.value_head.weight)
            torch.nn.init.zeros_(self.value_head.bias)
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
        self.peft.train(checkpointing)
        self.peft.set_adapter(POLICY)

    @property
    def device(self) -> torch.device:
        """Where the base weights are."""
        found: torch.device = next(self.peft.parameters()).device
        return found

    def parameters(self, role: Role) -> list[nn.Parameter]:
        """What is trained for a role, in a stable order."""
        return list(self.named_parameters(role).values())

    def named_parameters(self, role: Role) -> dict[str, nn.Parameter]:
        """What is trained for a role, by name."""
        found = {
            name: parameter
            for name, parameter in self.peft.named_parameters()
            if f".lora_A.{role}." in name or f".lora_B.{role}." in name
        }
        if role == VALUE and self.value_head is not None:
            found |= {f"head.{n}": p for n, p in self.value_head.named_parameters()}
        return found

    @contextmanager
    def active(self, role: Role) -> Iterator[None]:
        """The base in a role: its adapter on, for the reference all adapters off."""
        if role == "reference":
            with self.peft.disable_adapter():
                yield
            return
        self.peft.set_adapter(role)
        try:
            yield
        finally:
            self.peft.set_adapter(POLICY)

    def logprobs(self, pack: Pack, role: Role = POLICY) -> Scores:
        """Log-probabilities of the pack's trained tokens; see `logprobs.score`.

        Call it, and `backward` on what comes of it, inside `active(role)` of the same role.
        """
        return score(self.peft.get_base_model(), pack)

    def values(self, pack: Pack) -> torch.Tensor:
        """(T) float32: the value before each trained token, inside `active("value")`."""
        if self.value_head is None:
            raise LearningError("this base was opened without a value adapter.")
        found: torch.Tensor = self.value_head(self.hidden(pack).float())[:, 0]
        return found

    def hidden(self, pack: Pack) -> torch.Tensor:
        """(T, hidden): what the role's adapter makes of the nodes before the trained tokens."""
        return hidden_states(self.peft.get_base_model(), pack)

    def state(self) -> dict[str, torch.Tensor]:
        """All trained weights by role and name."""
        return {name: parameter.detach().cpu() for name, parameter in self._trained().items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Put weights of `state()` back. Raises LearningError where they are of another shape."""
        import torch

        own = self._trained()
        if own.keys() != state.keys():
            raise LearningError("the checkpoint holds the weights of other adapters.")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])

    def _trained(self) -> dict[str, nn.Parameter]:
        roles: tuple[Role, ...] = (POLICY, VALUE)
        return {
            f"{role}/{name}": parameter
            for role in roles
            for name, parameter in self.named_parameters(role).items()
        }

    def save_adapter(self, folder: Path) -> None:
        """Write the policy in PEFT's format: `adapter_config.json`, `adapter_model.safetensors`."""
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = get_peft_model_state_dict(self.peft, adapter_name=POLICY)
        flat = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        save_file(flat, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config = self.peft.peft_config[POLICY]
        before, config.inference_mode = config.inference_mode, True
        try:
            config.save_pretrained(str(folder))
        finally:
            config.inference_mode = before


def lora(config: AdapterConfig, task: str = "CAUSAL_LM") -> Any:
    """PEFT's configuration of an adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules=list(config.targets),
        task_type=task,
    )


def _check(model: Any) -> None:
    odd = [name for name in _ODD_HEADS if getattr(model.config, name, None) not in (None, 1.0)]
    if odd:
        raise LearningError(
            f"models whose logits are rescaled ({odd[0]}) cannot be trained here: take another."
        )
    if getattr(model.config, "_attn_implementation", "sdpa") != "sdpa":
        raise LearningError('load the model with attn_implementation="sdpa": trees need it.')
