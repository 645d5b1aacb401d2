"""One process, or several under `accelerate launch` that share the packs of a step.

Each worker holds the base; packs are dealt out, gradients of the adapters are summed. A step over n
workers is the step of one, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")


@dataclass(frozen=True)
class Workers:
    """This worker's place among all, and what they do together."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @classmethod
    def open(cls, device: str | None = None) -> Workers:
        """Join the workers of `accelerate launch`. `device` None: CUDA, else CPU."""
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu")
        chosen = device or ("cuda" if state.device.type == "cuda" else "cpu")
        if chosen == "cuda" and state.num_processes > 1:
            chosen = str(state.device)
        return cls(state.process_index, state.num_processes, chosen)

    @property
    def first(self) -> bool:
        """Whether this one writes files and speaks."""
        return self.rank == 0

    def mine(self, items: Iterable[Item]) -> list[Item]:
        """This worker's share of a list that all have."""
        return list(items)[self.rank :: self.count]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum gradients over all workers; a missing one is 0."""
        import torch

        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if self.count > 1:
                torch.distributed.all_reduce(parameter.grad)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sum numbers over all workers."""
        if self.count == 1:
            return list(values)
        import torch

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return [float(value) for value in total]

    def merged(self, own: dict[int, Any]) -> dict[int, Any]:
        """What all workers found, by place."""
        if self.count == 1:
            return own
        import torch

        parts: list[dict[int, Any]] = [{} for _ in range(self.count)]
        torch.distributed.all_gather_object(parts, own)
        return {place: value for part in parts for place, value in part.items()}

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            import torch

            torch.distributed.barrier()
