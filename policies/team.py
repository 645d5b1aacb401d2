"""Several models as one policy: one edits, others plan or criticise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from policies.base import Completion, Constraint, Message, OnProgress, Policy, Sampling


class Team:
    """The policy that edits, with others for phases of an attempt ("plan", "critique").

    All read the same conversation, within the smallest of their contexts.
    """

    def __init__(self, editor: Policy, members: Mapping[str, Policy]) -> None:
        self.editor, self.members = editor, dict(members)

    def member(self, phase: str) -> Policy:
        """Who answers in a phase."""
        return self.members.get(phase, self.editor)

    @property
    def version(self) -> str:
        """The versions of all of them."""
        others = (f"{phase}: {policy.version}" for phase, policy in self.members.items())
        return f"{self.editor.version} ({', '.join(others)})"

    @property
    def context_tokens(self) -> int:
        """The smallest of their contexts."""
        return min(p.context_tokens for p in (self.editor, *self.members.values()))

    @property
    def calls_tools(self) -> bool:
        """As the one that edits."""
        return self.editor.calls_tools

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """As the one that edits counts."""
        return self.editor.count_tokens(messages)

    def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        constraint: Constraint | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        """What the one that edits says."""
        return self.editor.sample(messages, n, sampling, constraint, on_progress)

    def close(self) -> None:
        """Close all of them."""
        for policy in (self.editor, *self.members.values()):
            policy.close()


def answering(policy: Policy, phase: str) -> tuple[Policy, bool]:
    """Who answers in a phase, and whether it is the one that edits."""
    if not isinstance(policy, Team):
        return policy, True
    member = policy.member(phase)
    return member, member is policy.editor


def open_team(
    open_one: Callable[[str], Policy], editor: str, members: Mapping[str, str | None]
) -> Policy:
    """The policy `editor`, with those members that are named. Raises what `open_one` raises."""
    opened: list[Policy] = []
    try:
        opened.append(open_one(editor))
        named = {phase: model for phase, model in members.items() if model}
        opened += [open_one(model) for model in named.values()]
    except BaseException:
        for policy in opened:
            policy.close()
        raise
    return Team(opened[0], dict(zip(named, opened[1:], strict=True))) if named else opened[0]
