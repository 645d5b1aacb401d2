"""Trajectories laid out for training: sequences, and the packs of a group."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from policies.base import Frozen
from policies.learning.batch import Groups
from policies.learning.errors import LearningError
from policies.learning.packed import Pack, pack, split
from policies.learning.tokens import Tokens

if TYPE_CHECKING:
    import torch


class DataConfig(Frozen):
    """How data is laid out. `max_nodes` bounds the tokens of a pack, and so the memory."""

    max_nodes: int = Field(4096, ge=8)
    groups_per_step: int = Field(4, ge=1)
    share_prefixes: bool = True


@dataclass
class Data:
    """Flat lists. `owner` maps a sequence to its trajectory, `groups` lists sequences by group."""

    sequences: list[Tokens]
    owner: list[int]
    groups: list[list[int]]
    rewards: list[float]
    members: list[list[int]]
    """Trajectories by group."""
    digest: str
    versions: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def lengths(self) -> list[int]:
        """Trained tokens of each trajectory."""
        lengths = [0] * len(self.rewards)
        for tokens, owner in zip(self.sequences, self.owner, strict=True):
            lengths[owner] += tokens.trained
        return lengths

    def packs(self, group: int, config: DataConfig) -> Iterator[tuple[list[int], Pack]]:
        """The packs of a group, with the sequences in each; or, without sharing, one a sequence."""
        own = self.groups[group]
        if not config.share_prefixes:
            yield from (([place], pack([self.sequences[place]])) for place in own)
            return
        for places in split([self.sequences[place] for place in own], config.max_nodes):
            chosen = [own[place] for place in places]
            yield chosen, pack([self.sequences[place] for place in chosen])

    def order(self, step: int, config: DataConfig, seed: int) -> list[int]:
        """The groups of a step: all of them once an epoch, in an order that `seed` decides.

        Steps are as even as can be: a last one of few groups would count as much as the others.
        """
        epoch, place = divmod(step, self.steps_per_epoch(config))
        order = list(range(len(self.groups)))
        random.Random(f"{seed}/{epoch}").shuffle(order)  # noqa: S311 - no secret
        steps = self.steps_per_epoch(config)
        first, end = (at * len(order) // steps for at in (place, place + 1))
        return order[first:end]

    def steps_per_epoch(self, config: DataConfig) -> int:
        """Steps in which every group comes once."""
        return -(-len(self.groups) // config.groups_per_step)


def lay_out(groups: Groups) -> Data:
    """Lay groups out. Raises LearningError when there is none, with the reasons."""
    if not groups.groups:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(groups.left_out.items()))
        raise LearningError(
            f"nothing is left to train on ({reasons or 'no trajectories'}): roll out more samples "
            "of each task, or tasks that are solved sometimes."
        )
    versions = {t.policy_version for group in groups.groups for t in group.trajectories}
    data = Data([], [], [], [], [], groups.digest, tuple(sorted(versions)), dict(groups.left_out))
    for group in groups.groups:
        data.groups.append([])
        data.members.append([])
        for one, reward in zip(group.trajectories, group.rewards, strict=True):
            for tokens in one.sequences:
                data.groups[-1].append(len(data.sequences))
                data.sequences.append(tokens)
                data.owner.append(len(data.rewards))
            data.members[-1].append(len(data.rewards))
            data.rewards.append(reward)
    return data


def by_token(
    data: Data,
    places: Sequence[int],
    packed: Pack,
    values: Mapping[int, float] | Sequence[float],
) -> torch.Tensor:
    """(T) for each trained token of a pack, its trajectory's value."""
    import torch

    own = torch.tensor([values[data.owner[place]] for place in places], dtype=torch.float32)
    return own.to(packed.owner.device)[packed.owner]


def joined(values: Sequence[torch.Tensor], places: Sequence[int]) -> torch.Tensor:
    """Values kept by sequence, in the order of a pack of these sequences."""
    import torch

    return torch.cat([values[place] for place in places])
