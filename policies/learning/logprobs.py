"""Log-probabilities of trained tokens, without keeping the logits.

The logits of a thousand tokens over 152 thousand words are 600 MB, and their gradient as much. But
the output layer is frozen: all that is needed of it is one number for each token and one row of
gradient, d log p(t) / d h = W[t] − Σ p(v) W[v]. Both are computed in chunks on the way forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from policies.learning.packed import Pack

if TYPE_CHECKING:
    import torch

CHUNK = 64


@dataclass(frozen=True)
class Scores:
    """Of T tokens: `logprobs` (T, float32, with gradient) and `entropy` (T, in nats, without)."""

    logprobs: torch.Tensor
    entropy: torch.Tensor


def hidden_states(model: Any, pack: Pack) -> torch.Tensor:
    """(T, hidden): what the model's body says at the nodes that predict the trained tokens."""
    body = model.get_decoder()
    out = body(
        input_ids=pack.ids,
        attention_mask=pack.attends,
        position_ids=pack.positions,
        use_cache=False,
    )
    found: torch.Tensor = out.last_hidden_state[0, pack.at]
    return found


def score(model: Any, pack: Pack) -> Scores:
    """Log-probabilities of the pack's trained tokens at temperature 1, and entropies there."""
    head = model.get_output_embeddings()
    hidden = hidden_states(model, pack)
    return head_scores(hidden, head.weight, getattr(head, "bias", None), pack.targets)


def head_scores(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    chunk: int = CHUNK,
) -> Scores:
    """Scores of `targets` (T) from hidden states (T, H) and a frozen output layer (V, H)."""
    logprobs, entropy = _function().apply(hidden, weight, bias, targets, chunk)
    return Scores(logprobs, entropy)


@cache
def _function() -> Any:
    import torch

    class HeadScores(torch.autograd.Function):
        """`apply(hidden, weight, bias, targets, chunk)` → log-probabilities, entropies."""

        @staticmethod
        def forward(
            ctx: Any,
            hidden: torch.Tensor,
            weight: torch.Tensor,
            bias: torch.Tensor | None,
            targets: torch.Tensor,
            chunk: int,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            count = hidden.shape[0]
            logprobs = torch.empty(count, dtype=torch.float32, device=hidden.device)
            entropy = torch.empty_like(logprobs)
            needed = ctx.needs_input_grad[0]
            gradient = torch.empty_like(hidden) if needed else None
            for start in range(0, count, chunk):
                part = slice(start, min(start + chunk, count))
                wanted = targets[part]
                logits = torch.nn.functional.linear(hidden[part], weight, bias).float()
                logits -= logits.logsumexp(-1, keepdim=True)
                logprobs[part] = logits.gather(1, wanted[:, None])[:, 0]
                share = logits.exp()
                entropy[part] = -logits.mul_(share).sum(-1)
                if gradient is not None:
                    share[torch.arange(len(wanted), device=share.device), wanted] -= 1
                    gradient[part] = -(share.to(weight.dtype) @ weight)
            if gradient is not None:
                ctx.save_for_backward(gradient)
            ctx.mark_non_differentiable(entropy)
            return logprobs, entropy

        @staticmethod
        def backward(ctx: Any, upstream: torch.Tensor, _: Any) -> tuple[Any, ...]:
            (gradient,) = ctx.saved_tensors
            return upstream[:, None].to(gradient.dtype) * gradient, None, None, None, None

    return HeadScores
