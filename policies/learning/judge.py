"""The reward model as one more adapter and head on the shared base.

What `reward.train` wrote for a model of its own is put beside policy and value: no further copy of
the base. A judge may order candidates; the rewards of training come from the verifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from policies.learning.base import SharedBase
from policies.learning.errors import LearningError
from policies.learning.packed import pack
from policies.learning.tokens import Tokens

if TYPE_CHECKING:
    import torch

REWARD: Final = "reward"


@dataclass(frozen=True)
class Judge:
    """A reward adapter on a base, with its head: (1, hidden) float32."""

    base: SharedBase
    head: torch.Tensor

    def scores(self, sequences: Sequence[Tokens]) -> torch.Tensor:
        """(n) float32: the score of each sequence, read after its last token."""
        import torch

        ended = [
            Tokens((*t.ids, 0), (*[False] * len(t.ids), True), (*[0.0] * len(t.ids), 0.0))
            for t in sequences
        ]
        packed = pack(ended).to(self.base.device)
        with torch.no_grad(), self.base.active(REWARD):
            hidden = self.base.hidden(packed)
            return (hidden.float() @ self.head.T)[:, 0]


def add_judge(base: SharedBase, folder: Path) -> Judge:
    """Put the reward model in `folder` on a base. Raises LearningError when it does not fit."""
    from peft import PeftConfig, set_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        config: Any = PeftConfig.from_pretrained(str(folder))
        weights = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError) as error:
        raise LearningError(f"there is no reward model in {folder}: {error}") from error
    heads = [name for name in weights if ".score." in name or name.endswith("score.weight")]
    if len(heads) != 1:
        raise LearningError(f"the adapter in {folder} has no head: it is no reward model.")
    head = weights.pop(heads[0]).float().to(base.device)
    config.task_type, config.modules_to_save = "CAUSAL_LM", None
    base.peft.add_adapter(REWARD, config)
    set_peft_model_state_dict(base.peft, weights, adapter_name=REWARD)
    base.peft.set_adapter("policy")
    return Judge(base, head)
