"""Drawing tokens: several completions of one prompt, decoded together behind one KV cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Row:
    """A completion in the making. `logprobs` are those of the raw model, at temperature 1."""

    seed: int
    matcher: Any = None
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: Literal["", "end", "stop", "length"] = ""
    generator: Any = None


@dataclass(frozen=True)
class Limits:
    """When a row is finished: at a token of `ends`, where `stops` says so of its ids, or full."""

    max_tokens: int
    ends: frozenset[int]
    stops: Callable[[list[int]], bool]


@dataclass(frozen=True)
class Draw:
    """How tokens are drawn, in llama.cpp's order: mask, top-k, top-p, then temperature."""

    temperature: float
    top_p: float
    top_k: int
    mask: Callable[[Any, list[Any]], None]

    def pick(self, logits: Any, rows: list[Row]) -> tuple[list[int], list[float]]:
        """A token for each row of `logits` (rows × width), and its raw log-probability."""
        import torch

        raw = torch.log_softmax(logits.float(), dim=-1)
        scores = raw
        if rows[0].matcher is not None:
            scores = raw.clone()
            self.mask(scores, [row.matcher for row in rows])
        if self.temperature == 0:
            chosen = scores.argmax(-1)
        else:
            shares = torch.softmax(self._truncated(scores) / self.temperature, dim=-1)
            steps = shares.double().cumsum(-1)
            points = torch.stack(
                [torch.rand((), generator=row.generator, dtype=torch.float64) for row in rows]
            ).to(steps.device)
            wanted = (points * steps[:, -1]).unsqueeze(-1)
            chosen = torch.searchsorted(steps, wanted, right=True).squeeze(-1)
        found = raw.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        return chosen.tolist(), found.tolist()

    def _truncated(self, scores: Any) -> Any:
        """`scores` with -inf for what top-k and top-p leave out."""
        import torch

        if 0 < self.top_k < scores.shape[-1]:
            least = scores.topk(self.top_k, dim=-1).values[:, -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if self.top_p < 1:
            ordered, places = scores.softmax(-1).sort(-1, descending=True)
            # The token that crosses the threshold stays.
            left_out = ordered.cumsum(-1) - ordered >= self.top_p
            scores = scores.masked_fill(left_out.scatter(-1, places, left_out), -torch.inf)
        return scores


def decode(
    model: Any,
    cache: Any,
    logits: Any,
    rows: list[Row],
    draw: Draw,
    limits: Limits,
    on_step: Callable[[], None],
) -> Row:
    """Finish all `rows`, which begin behind the prompt in `cache` (of batch 1).

    `logits` (1 × width) are those of the prompt's last position. Finished rows leave the
    batch. Returns the row that `cache` holds in the end, all but its last token.
    """
    import torch

    for row in rows:
        row.generator = torch.Generator().manual_seed(row.seed)
    active = rows
    if len(rows) > 1:
        cache.batch_repeat_interleave(len(rows))
        logits = logits.expand(len(rows), -1)
    while True:
        tokens, logprobs = draw.pick(logits, active)
        for row, token, logprob in zip(active, tokens, logprobs, strict=True):
            _take(row, token, logprob, limits)
        on_step()
        going = [place for place, row in enumerate(active) if not row.finished]
        kept = going or [0]
        if len(kept) < len(active):
            cache.batch_select_indices(torch.tensor(kept, device=logits.device))
        active = [active[place] for place in kept]
        if not going:
            return active[0]
        fed = torch.tensor([[row.ids[-1]] for row in active], device=logits.device)
        logits = model(input_ids=fed, cache=cache, use_cache=True).logits[:, -1]


def _take(row: Row, token: int, logprob: float, limits: Limits) -> None:
    row.ids.append(token)
    row.logprobs.append(logprob)
    if row.matcher is not None:
        row.matcher.consume_token(token)
    if token in limits.ends:
        row.finished = "end"
    elif limits.stops(row.ids):
        row.finished = "stop"
    elif len(row.ids) == limits.max_tokens:
        row.finished = "length"
