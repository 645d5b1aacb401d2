"""The Python interface: `from agent import solve, verify`. Both return a Result.

They run in the process and thread that calls them and print nothing. One run holds a repository
at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from os import PathLike
from pathlib import Path
from typing import TypedDict, Unpack

from agent.apply import Delivery
from agent.result import Result, result_of
from agent.run import Audience, Order, run
from agent.status import EnvironmentFailure, Status, UsageError
from agent.task import clean_issue
from agent.ui.download import tenths
from agent.ui.lines import line
from policies.base import PolicyError, Progress
from policies.experience.events import Event
from policies.experience.store import StoreError
from tools.sandbox.base import SandboxError

OnProgress = Callable[[str], None]
PATCH = "Judge a given patch."


class Options(TypedDict, total=False):
    """Settings of a call; what is not given comes from the usual places (see agent/config.py).

    `timeout` and `test_timeout` are seconds, of the run and of one run of the tests;
    `budget_tokens` are tokens that are not cached. `environment` is a folder with bin/python.
    """

    model: str | None
    sandbox: str | None
    image: str | None
    environment: str | None
    test_command: str | None
    samples: int | None
    rounds: int | None
    budget_tokens: int | None
    timeout: float | None
    test_timeout: float | None
    seed: int | None


def solve(
    repo: str | PathLike[str],
    issue: str,
    *,
    tests: Sequence[str] = (),
    apply: bool = False,
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> Result:
    """Solve an issue in a git repository, as `agent solve` does.

    `tests` are ids of tests that the fix must turn green; default: those that the issue names, else
    all that fail. With `apply` a verified patch is written onto the working tree; an unverified one
    never is. `on_progress` gets a line of text for each step.

    The result's status is `verified`, `nothing_to_do`, `unverified` or `not_solved`. Raises
    UsageError when the request is wrong, EnvironmentFailure (both are AgentError, with a `hint`)
    when the machine or the repository cannot serve it or the tree changed meanwhile,
    KeyboardInterrupt on Ctrl-C. Then nothing was written.
    """
    order = Order(
        repo=Path(repo),
        issue=clean_issue(issue),
        targets=_ids(tests),
        overrides=dict(options),
        delivery=Delivery(dry_run=not apply),
    )
    return _run(order, on_progress)


def verify(
    repo: str | PathLike[str],
    patch: str,
    *,
    tests: Sequence[str] = (),
    on_progress: OnProgress | None = None,
    **options: Unpack[Options],
) -> Result:
    """Judge anybody's patch (a unified diff) with the verifier of `solve`, in a fresh sandbox.

    `tests` are failing tests that the patch must turn green; default: all that fail. Changes of
    existing tests count against a patch and new test files are left out of it, so the tests that
    show the bug must be in the repository already. Nothing is written; no model is loaded.

    The result's status is `verified` or `unverified` (its `verdict` says why), or
    `nothing_to_do` when the named tests pass without the patch. Raises as `solve` does.
    """
    if not patch.strip():
        raise UsageError("the patch is empty", "Give a unified diff, as `git diff` prints it.")
    order = Order(
        repo=Path(repo), issue=PATCH, targets=_ids(tests), patch=patch, overrides=dict(options)
    )
    return _run(order, on_progress)


def _ids(tests: Sequence[str]) -> tuple[str, ...]:
    return (tests,) if isinstance(tests, str) else tuple(tests)


def _run(order: Order, on_progress: OnProgress | None) -> Result:
    with failures():
        result = result_of(run(order, _audience(on_progress)))
    if result.status is Status.INTERRUPTED:
        raise KeyboardInterrupt(result.message)
    if result.status is Status.USAGE:
        raise UsageError(result.message, result.hint)
    if result.status is Status.ENVIRONMENT:
        raise EnvironmentFailure(result.message, result.hint)
    return result


@contextmanager
def failures() -> Iterator[None]:
    """Raise what the lower floors raise as an EnvironmentFailure."""
    try:
        yield
    except (PolicyError, StoreError, SandboxError) as error:
        raise EnvironmentFailure(str(error)) from error


def _audience(on_progress: OnProgress | None) -> Audience:
    if on_progress is None:
        return Audience()
    say = on_progress

    def show(event: Event | Progress) -> None:
        if text := line(event):
            say(text)

    return Audience(view=nullcontext(show), on_line=say, downloads=nullcontext(tenths(say)))
