"""`agent fix`: for hooks before a commit, and by hand."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.errors import reported

if TYPE_CHECKING:
    from agent.config import Settings
    from agent.session import Listener
    from policies.base import Policy


def fix(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Staged files; default: all that are staged.")
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(help="A command that must succeed, with {files}, {python} or {tests}."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for a repair at most.")] = None,
    model: Annotated[str | None, typer.Option(help="A model; see `agent models list`.")] = None,
    env: Annotated[
        str | None, typer.Option(help="The virtual environment that the checks need.")
    ] = None,
    sandbox: Annotated[
        str | None, typer.Option(help="auto, docker, bubblewrap, or none (no isolation).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result.")] = False,
) -> None:
    """Run the checks on what is staged; when one fails, repair the files and leave them unstaged.

    Exit codes: 0 all checks pass, 1 files changed or not fixed, 2 usage, 3 environment,
    130 interrupted.
    """
    with reported(as_json=as_json):
        from agent.config import load_settings
        from agent.fix.run import fix as run_fix
        from agent.repository import open_repository

        overrides = {
            "checks": tuple(check) if check else None,
            "fix_timeout": timeout,
            "model": model,
            "environment": env,
            "sandbox": sandbox,
            "seed": seed,
        }
        silent = quiet or as_json or not sys.stderr.isatty()
        with closing(open_repository(Path(), unborn=True)) as repo:
            report = run_fix(
                repo,
                files or [],
                load_settings(Path(repo.working_dir), overrides),
                _open_policy,
                lambda: _view(silent),
                lambda text: print(f"agent: {text}", file=sys.stderr),
            )
        print(report.document().line() if as_json else report.as_text())
    raise SystemExit(report.status.exit_code)


def _open_policy(settings: Settings) -> Policy:
    """The policy, from weights that are on this machine: a commit waits for no download."""
    from policies.choose import open_policy, refuse_download

    return open_policy(
        settings.model,
        context_tokens=settings.context_tokens,
        on_download=refuse_download,
        resident_seconds=None if settings.resident == "never" else settings.resident_seconds,
        request_seconds=settings.fix_timeout,
    )


def _view(silent: bool) -> AbstractContextManager[Listener]:
    if silent:
        return nullcontext(lambda _: None)
    from rich.console import Console

    from agent.ui.live import LiveView

    return LiveView(Console(stderr=True))
