"""Bug mutations of Python source, after the families of SWE-smith (arXiv:2504.21798)."""

from __future__ import annotations

from agent.tasks.mutate.model import FAMILIES, Edit, Mutation, combine

__all__ = ["FAMILIES", "Edit", "Mutation", "combine", "mutations"]


def mutations(path: str, source: bytes) -> list[Mutation]:
    """All mutations of a file, in the order of their place in it.

    Each compiles, changes the fingerprint, and differs in fingerprint from all others. The list is
    empty for a source that does not parse or is not UTF-8. `path` is recorded, not read.
    """
    from agent.tasks.mutate.collect import collect

    return collect(path, source)
