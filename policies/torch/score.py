"""The log-probabilities of given tokens: what training compares and what stored ones must equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def token_logprobs(model: Any, prompt_ids: Sequence[int], completion_ids: Sequence[int]) -> Any:
    """The natural-log probability of each of `completion_ids` after `prompt_ids`.

    A float32 tensor of shape (completion,), at temperature 1 and differentiable. Logits are
    computed at the needed positions only. Neither sequence may be empty.
    """
    import torch

    ids = torch.tensor([[*prompt_ids, *completion_ids]], device=model.device)
    count = len(completion_ids)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=count + 1).logits[0, :-1]
    logits = logits.float()
    chosen = logits.gather(-1, ids[0, -count:].unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def score(
    model: Any, prompt_ids: Sequence[int], completion_ids: Sequence[int]
) -> tuple[float, ...]:
    """The same as floats, without gradients, with dropout off."""
    import torch

    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            found = token_logprobs(model, prompt_ids, completion_ids).tolist()
    finally:
        model.train(training)
    return tuple(found)
