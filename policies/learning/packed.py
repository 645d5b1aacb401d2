"""A group's shared prompt, computed once: its sequences as one tree of tokens.

Samples of one prompt begin with the same tokens, and so do the turns that continue one another.
All sequences of a group are merged into a tree, a node for each token that follows the same tokens,
and the tree is one row for the model: a token attends to its ancestors only (a 4-D mask) and its
position is its depth. So every token sees exactly what it would see in a row of its own, and the
prompt is computed, and its gradient taken, once instead of once a sample. Logits are computed only
where a trained token is predicted.

Tree attention over shared prefixes: SpecInfer (arXiv:2305.09781, section 4); for training on
samples of one prompt: Prefix Grouper (arXiv:2506.05433).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.learning.tokens import Tokens

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pack:
    """Some sequences as a tree of N nodes, with T trained tokens.

    `ids` and `positions` are (1, N) int64, `attends` is (1, 1, N, N) bool, True where the row's
    node may look at the column's. Each trained token has the node that predicts it in `at` (T):
    the index tensor that `logits_to_keep` of a model takes. `targets` (T) are their ids, `owner`
    (T) their sequences, as places in the argument of `pack`. Trained tokens stand sequence by
    sequence, in order; so do `logprobs` (T, float32), the stored log-probabilities.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    attends: torch.Tensor
    at: torch.Tensor
    targets: torch.Tensor
    logprobs: torch.Tensor
    owner: torch.Tensor

    @property
    def nodes(self) -> int:
        """N: the tokens that are computed."""
        return int(self.ids.shape[1])

    @property
    def trained(self) -> int:
        """T: the tokens that are trained."""
        return int(self.targets.shape[0])

    def to(self, device: torch.device | str) -> Pack:
        """The same on another device."""
        return Pack(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@dataclass
class _Tree:
    """Nodes in the order that they were made: a parent comes before its children."""

    ids: list[int]
    parents: list[int]
    children: dict[tuple[int, int], int]

    def add(self, ids: Sequence[int]) -> list[int]:
        """The nodes of a sequence, made where they are missing."""
        path: list[int] = []
        at = -1
        for token in ids:
            node = self.children.get((at, token))
            if node is None:
                node = len(self.ids)
                self.children[at, token] = node
                self.ids.append(token)
                self.parents.append(at)
            path.append(node)
            at = node
        return path


def nodes_of(sequences: Sequence[Tokens]) -> int:
    """How many nodes the tree of these sequences has."""
    tree = _Tree([], [], {})
    for tokens in sequences:
        tree.add(tokens.ids)
    return len(tree.ids)


def pack(sequences: Sequence[Tokens], *, share: bool = True) -> Pack:
    """Merge sequences into a tree. With `share` False they stand side by side, sharing nothing.

    The first token of a sequence is predicted by nothing and so is never trained.
    """
    import numpy as np
    import torch

    tree = _Tree([], [], {})
    trained: list[tuple[int, int, float, int]] = []
    for owner, tokens in enumerate(sequences):
        if not share:
            tree.children = {}
        path = tree.add(tokens.ids)
        trained += [
            (path[at - 1], tokens.ids[at], tokens.logprobs[at], owner)
            for at in range(1, len(path))
            if tokens.mask[at]
        ]
    count = len(tree.ids)
    attends = np.zeros((count, count), dtype=bool)
    depth = np.zeros(count, dtype=np.int64)
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            attends[node] = attends[parent]
            depth[node] = depth[parent] + 1
        attends[node, node] = True
    return Pack(
        ids=torch.tensor([tree.ids], dtype=torch.int64),
        positions=torch.from_numpy(depth)[None],
        attends=torch.from_numpy(attends)[None, None],
        at=torch.tensor([node for node, *_ in trained], dtype=torch.int64),
        targets=torch.tensor([target for _, target, _, _ in trained], dtype=torch.int64),
        logprobs=torch.tensor([logprob for _, _, logprob, _ in trained], dtype=torch.float32),
        owner=torch.tensor([owner for *_, owner in trained], dtype=torch.int64),
    )


def split(sequences: Sequence[Tokens], limit: int) -> list[list[int]]:
    """Places of the sequences, in packs of at most `limit` nodes each; longer ones are left out."""
    packs: list[list[int]] = []
    tree = _Tree([], [], {})
    for place, tokens in enumerate(sequences):
        if len(tokens.ids) > limit:
            continue
        if packs:
            tree.add(tokens.ids)
        if not packs or len(tree.ids) > limit:
            packs.append([])
            tree = _Tree([], [], {})
            tree.add(tokens.ids)
        packs[-1].append(place)
    return packs
