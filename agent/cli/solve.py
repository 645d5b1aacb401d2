"""`agent solve`: an issue in, a verified fix out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.errors import reported
from agent.status import Status, UsageError

if TYPE_CHECKING:
    from agent.apply import Delivery
    from agent.config import Settings
    from agent.session import Listener
    from agent.solve import Outcome
    from policies.base import Policy


def solve(
    issue: Annotated[str | None, typer.Argument(help="What is wrong, in your own words.")] = None,
    issue_file: Annotated[
        Path | None, typer.Option(help="Read the issue from a file ('-' for standard input).")
    ] = None,
    repo: Annotated[Path, typer.Option(help="The repository, or a folder in it.")] = Path(),
    test: Annotated[
        list[str] | None, typer.Option(help="A test that the fix must turn green (repeatable).")
    ] = None,
    test_cmd: Annotated[str | None, typer.Option(help="How the tests are run.")] = None,
    model: Annotated[str | None, typer.Option(help="A model; see `agent models list`.")] = None,
    sandbox: Annotated[
        str | None, typer.Option(help="auto, docker, bubblewrap, or none (no isolation).")
    ] = None,
    image: Annotated[str | None, typer.Option(help="A docker image for the sandbox.")] = None,
    env: Annotated[
        str | None, typer.Option(help="The virtual environment that the tests need.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="Attempts at most.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Revisions in an attempt at most.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens at most.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds at most.")] = None,
    test_timeout: Annotated[float | None, typer.Option(help="Seconds for a test run.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling.")] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Commit the fix.")] = False,
    branch: Annotated[
        str | None, typer.Option(help="Commit the fix on a new branch; leave the tree alone.")
    ] = None,
    patch: Annotated[
        Path | None, typer.Option(help="Write the fix to a file; leave the tree alone.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the fix.")] = False,
    apply_unverified: Annotated[
        bool, typer.Option("--apply-unverified", help="Apply also what is not verified.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result.")] = False,
) -> None:
    """Fix an issue in a git repository and apply the fix once it is verified.

    Exit codes: 0 verified (or nothing to do), 1 not solved, 2 usage, 3 environment,
    130 interrupted.
    """
    with reported(as_json=as_json):
        from agent.apply import Delivery
        from agent.task import clean_issue

        text = clean_issue(_issue_text(issue, issue_file))
        if sum(map(bool, (commit, branch, patch, dry_run))) > 1:
            raise UsageError("--commit, --branch, --patch and --dry-run exclude each other")
        delivery = Delivery(
            commit, branch, patch, dry_run, apply_unverified, f"Fix: {text.splitlines()[0][:60]}"
        )
        overrides = {
            "test_command": test_cmd,
            "model": model,
            "sandbox": sandbox,
            "image": image,
            "environment": env,
            "samples": samples,
            "rounds": rounds,
            "budget_tokens": budget_tokens,
            "timeout": timeout,
            "test_timeout": test_timeout,
            "seed": seed,
        }
        outcome = _run(repo, text, tuple(test or ()), overrides, delivery, as_json or quiet)
        _report(outcome, as_json=as_json, quiet=quiet)
    raise SystemExit(outcome.status.exit_code)


def _run(
    path: Path,
    issue: str,
    targets: tuple[str, ...],
    overrides: Mapping[str, object],
    delivery: Delivery,
    silent: bool,
) -> Outcome:

    from agent import apply
    from agent.config import load_settings
    from agent.repository import capture, only_run, open_repository
    from agent.solve import solve as run_solve
    from agent.task import Task
    from agent.workspace import check_sandbox, make_workspace
    from policies.experience.store import Store

    repo = open_repository(path)
    root = Path(repo.working_dir)
    settings = load_settings(root, overrides)
    with ExitStack() as stack:
        stack.callback(repo.close)
        stack.enter_context(only_run(root))
        tree = capture(repo)
        if delivery.writes_tree:
            apply.check_writable(tree)
        if delivery.commit or delivery.branch:
            apply.check_commit(repo, delivery.branch)
        check_sandbox(settings)
        listener = stack.enter_context(_view(silent))
        workspace = make_workspace(tree, settings, on_line=_note(silent))
        store = stack.enter_context(Store.open())
        policy = _open_policy(settings, silent)
        stack.callback(policy.close)
        return run_solve(
            Task(issue, tree, targets),
            policy,
            workspace,
            store,
            settings,
            [listener],
            lambda status, verdict: apply.deliver(repo, tree, delivery, status, verdict),
        )


def _open_policy(settings: Settings, silent: bool) -> Policy:
    from agent.ui.download import download_bar
    from policies.choose import open_policy

    with download_bar(silent=silent) as on_download:
        return open_policy(
            settings.model,
            context_tokens=settings.context_tokens,
            on_download=on_download,
            resident_seconds=settings.resident_seconds if settings.resident == "always" else None,
        )


def _issue_text(issue: str | None, issue_file: Path | None) -> str:
    if (issue is None) == (issue_file is None):
        raise UsageError(
            "give the issue as an argument or with --issue-file",
            'For example: agent solve "mean([]) raises ZeroDivisionError"',
        )
    if issue_file is None:
        return issue or ""
    try:
        data = sys.stdin.buffer.read() if str(issue_file) == "-" else issue_file.read_bytes()
    except OSError as error:
        raise UsageError(f"{issue_file}: {error.strerror}") from error
    return data.decode("utf-8", "replace")


def _view(silent: bool) -> _View:
    if silent:
        return _View(lambda _: None)
    if sys.stderr.isatty():
        from rich.console import Console

        from agent.ui.live import LiveView

        return LiveView(Console(stderr=True))  # type: ignore[return-value]
    from agent.ui.plain import show

    return _View(show)


class _View:
    """A listener as a context manager."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener

    def __enter__(self) -> Listener:
        return self.listener

    def __exit__(self, *_: object) -> None:
        return None


def _note(silent: bool) -> Callable[[str], None]:
    def note(text: str) -> None:
        if not silent:
            print(text, file=sys.stderr, flush=True)

    return note


def _report(outcome: Outcome, *, as_json: bool, quiet: bool) -> None:
    from agent.ui.report import as_json as to_json
    from agent.ui.report import summarise

    if as_json:
        print(json.dumps(to_json(outcome)))
        return
    from rich.console import Console

    good = outcome.status in (Status.VERIFIED, Status.NOTHING_TO_DO, Status.UNVERIFIED)
    console = Console(stderr=not good)
    summarise(console, outcome, shown_diff=not quiet and sys.stderr.isatty())
