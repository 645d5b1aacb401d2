"""A repository on this machine, made ready for `solve`: what every interface does around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import apply
from agent.apply import Delivery
from agent.config import Settings, load_settings
from agent.outcome import Outcome
from agent.repository import capture, only_run, open_repository
from agent.session import Listener
from agent.solve import solve as compose
from agent.task import Task
from agent.workspace import check_sandbox, make_workspace
from policies.base import Policy
from policies.experience.store import Store

if TYPE_CHECKING:
    from policies.hub.download import OnBytes


@dataclass(frozen=True)
class Order:
    """What is asked of a run: an issue to solve or, with a `patch`, a patch to judge.

    `repo` is a folder in the repository. `overrides` are settings that go before all others; None
    means not given.
    """

    repo: Path
    issue: str
    targets: tuple[str, ...] = ()
    patch: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    delivery: Delivery = field(default_factory=lambda: Delivery(dry_run=True))


@dataclass(frozen=True)
class Audience:
    """Who is shown what happens: events, lines about the set-up, downloads. Nobody by default."""

    view: AbstractContextManager[Listener] = field(
        default_factory=lambda: nullcontext(lambda _: None)
    )
    on_line: Callable[[str], None] = lambda _: None
    downloads: AbstractContextManager[OnBytes | None] = field(default_factory=nullcontext)


def run(order: Order, audience: Audience | None = None) -> Outcome:
    """Hold the repository, capture it, run, deliver.

    Raises AgentError, PolicyError, SandboxError or StoreError when the run cannot begin; how it
    ends is in the Outcome.
    """
    audience = audience or Audience()
    delivery = order.delivery
    repo = open_repository(order.repo)
    root = Path(repo.working_dir)
    with ExitStack() as stack:
        stack.callback(repo.close)
        settings = load_settings(root, order.overrides)
        stack.enter_context(only_run(root))
        tree = capture(repo)
        if delivery.writes_tree:
            apply.check_writable(tree)
        if delivery.commit or delivery.branch:
            apply.check_commit(repo, delivery.branch)
        check_sandbox(settings)
        listener = stack.enter_context(audience.view)
        workspace = make_workspace(tree, settings, on_line=audience.on_line)
        store = stack.enter_context(Store.open())
        policy = _policy(order, settings, audience)
        stack.callback(policy.close)
        return compose(
            Task(order.issue, tree, order.targets, order.patch),
            policy,
            workspace,
            store,
            settings,
            [listener],
            lambda status, verdict: apply.deliver(repo, tree, delivery, status, verdict),
        )


def _policy(order: Order, settings: Settings, audience: Audience) -> Policy:
    """The model; none is asked where the patch is there already."""
    if order.patch is not None:
        from policies.scripted import ScriptedPolicy

        return ScriptedPolicy([])
    from policies.choose import open_policy
    from policies.team import open_team

    with audience.downloads as on_download:
        open_one = partial(
            open_policy,
            context_tokens=settings.context_tokens,
            on_download=on_download,
            resident_seconds=settings.resident_seconds if settings.resident == "always" else None,
            request_seconds=settings.timeout,
        )
        return open_team(open_one, settings.model, settings.members)
