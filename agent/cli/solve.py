"""`agent solve`: an issue in, a verified fix out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.errors import reported
from agent.status import Status, UsageError

if TYPE_CHECKING:
    from agent.outcome import Outcome
    from agent.run import Audience
    from agent.session import Listener


def solve(
    issue: Annotated[str | None, typer.Argument(help="What is wrong, in your own words.")] = None,
    issue_file: Annotated[
        Path | None, typer.Option(help="Read the issue from a file ('-' for standard input).")
    ] = None,
    issue_url: Annotated[
        str | None, typer.Option(help="Read the issue from GitHub: https://…/OWNER/NAME/issues/N.")
    ] = None,
    repo: Annotated[Path, typer.Option(help="The repository, or a folder in it.")] = Path(),
    test: Annotated[
        list[str] | None, typer.Option(help="A test that the fix must turn green (repeatable).")
    ] = None,
    test_cmd: Annotated[str | None, typer.Option(help="How the tests are run.")] = None,
    model: Annotated[str | None, typer.Option(help="A model; see `agent models list`.")] = None,
    planner: Annotated[
        str | None, typer.Option(help="Another model to say where the cause is.")
    ] = None,
    critic: Annotated[
        str | None, typer.Option(help="Another model to say what is wrong with a patch.")
    ] = None,
    sandbox: Annotated[
        str | None, typer.Option(help="auto, docker, bubblewrap, or none (no isolation).")
    ] = None,
    image: Annotated[str | None, typer.Option(help="A docker image for the sandbox.")] = None,
    env: Annotated[
        str | None, typer.Option(help="The virtual environment that the tests need.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="Attempts at most.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of an attempt at most.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens at most.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to look for a fix.")] = None,
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
    with_test: Annotated[
        bool,
        typer.Option("--with-test", help="Keep the test that the agent wrote to show the bug."),
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
        from agent.run import Order, run
        from agent.task import clean_issue

        text = clean_issue(_issue_text(issue, issue_file, issue_url))
        if sum(map(bool, (commit, branch, patch, dry_run))) > 1:
            raise UsageError("--commit, --branch, --patch and --dry-run exclude each other")
        delivery = Delivery(
            commit, branch, patch, dry_run, apply_unverified, f"Fix: {text.splitlines()[0][:60]}"
        )
        overrides = {
            "test_command": test_cmd,
            "model": model,
            "planner": planner,
            "critic": critic,
            "sandbox": sandbox,
            "image": image,
            "environment": env,
            "samples": samples,
            "rounds": rounds,
            "budget_tokens": budget_tokens,
            "timeout": timeout,
            "test_timeout": test_timeout,
            "seed": seed,
            "with_test": with_test or None,
        }
        order = Order(
            repo=repo,
            issue=text,
            targets=tuple(test or ()),
            overrides=overrides,
            delivery=delivery,
        )
        outcome = run(order, _audience(as_json or quiet))
        _report(outcome, as_json=as_json, quiet=quiet)
    raise SystemExit(outcome.status.exit_code)


def _audience(silent: bool) -> Audience:
    from agent.run import Audience
    from agent.ui.download import download_bar

    return Audience(
        view=_view(silent), on_line=_note(silent), downloads=download_bar(silent=silent)
    )


def _issue_text(issue: str | None, issue_file: Path | None, issue_url: str | None) -> str:
    if sum(given is not None for given in (issue, issue_file, issue_url)) != 1:
        raise UsageError(
            "give the issue as an argument, with --issue-file or with --issue-url",
            'For example: agent solve "mean([]) raises ZeroDivisionError"',
        )
    if issue_url is not None:
        from agent.github.address import issue_at

        return issue_at(issue_url)
    if issue_file is None:
        return issue or ""
    try:
        data = sys.stdin.buffer.read() if str(issue_file) == "-" else issue_file.read_bytes()
    except OSError as error:
        raise UsageError(f"{issue_file}: {error.strerror}") from error
    return data.decode("utf-8", "replace")


def _view(silent: bool) -> AbstractContextManager[Listener]:
    if silent:
        return nullcontext(lambda _: None)
    if sys.stderr.isatty():
        from rich.console import Console

        from agent.ui.live import LiveView

        return LiveView(Console(stderr=True))
    from agent.ui.plain import show

    return nullcontext(show)


def _note(silent: bool) -> Callable[[str], None]:
    def note(text: str) -> None:
        if not silent:
            print(text, file=sys.stderr, flush=True)

    return note


def _report(outcome: Outcome, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        from agent.result import result_of

        print(result_of(outcome).line())
        return
    from rich.console import Console

    from agent.ui.report import summarise

    good = outcome.status in (Status.VERIFIED, Status.NOTHING_TO_DO, Status.UNVERIFIED)
    console = Console(stderr=not good)
    summarise(console, outcome, shown_diff=not quiet and sys.stderr.isatty())
