"""`agent doctor`: checks, and what to do about what fails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.errors import reported
from agent.status import Status


def doctor(
    repo: Annotated[Path, typer.Option(help="The repository to check.")] = Path(),
    model: Annotated[str | None, typer.Option(help="The model to check.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check git, disk, sandboxes, model and speed, and say what to do."""
    with reported(as_json=as_json):
        from agent.config import load_settings
        from agent.doctor import Checks, checks

        settings = load_settings(None, {"model": model})
        found = []
        from rich.console import Console
        from rich.text import Text

        console = Console()
        for check in checks(settings, repo):
            found.append(check)
            if not as_json:
                mark = {True: "ok  ", False: "FAIL", None: "-   "}[check.ok]
                style = {True: "green", False: "bold red", None: "yellow"}[check.ok]
                console.print(Text(f"{mark} ", style=style) + Text(f"{check.name}: {check.detail}"))
                if check.next:
                    console.print(Text(f"       {check.next}"))
        sandbox = any(c.ok for c in found if c.name.startswith("sandbox"))
        good = sandbox and all(c.ok is not False for c in found)
        if as_json:
            print(Checks(ok=good, checks=tuple(found)).line())
        elif not sandbox:
            console.print("No sandbox works: start a Docker engine, or install bubblewrap.")
    raise SystemExit(0 if good else Status.ENVIRONMENT.exit_code)
