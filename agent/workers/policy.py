"""What a process that runs a policy needs."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from agent.config import Settings
from policies.base import Policy
from policies.choose import open_policy
from policies.experience.store import Store
from policies.team import open_team


def open_for(settings: Settings, store: Path | None, stack: ExitStack) -> tuple[Policy, Store]:
    """The policy of the settings, loaded, and the store that it is recorded in, until `stack` ends.

    Raises PolicyError, StoreError.
    """
    assert store is not None
    opened = stack.enter_context(Store.open(store))
    open_one = partial(
        open_policy, context_tokens=settings.context_tokens, request_seconds=settings.timeout
    )
    policy = open_team(open_one, settings.model, settings.members)
    stack.callback(policy.close)
    return policy, opened
