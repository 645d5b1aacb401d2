"""`agent experience`: what earlier runs did, from the user's experience store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.errors import reported
from agent.status import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from policies.experience.store import Store, Summary

app = typer.Typer(help="Look at the trajectories of earlier runs.", no_args_is_help=True)


class Outcome(StrEnum):
    """What people make of a patch."""

    KEPT = "kept"
    MERGED = "merged"
    REVERTED = "reverted"
    CLOSED = "closed"


_WIDTH_OF_PIPE = 1000


@app.command("list")
def list_trajectories(
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 20,
    repo: Annotated[
        str | None,
        typer.Option(help="Only those of this repository: a path, or the end of its name."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """List the latest trajectories, newest first."""
    if repo and Path(repo).is_dir():
        repo = str(Path(repo).resolve())
    with _store(as_json) as store:
        found = store.trajectories(limit, repo) if store else []
    if as_json:
        from agent.documents import Trajectories

        typer.echo(Trajectories(trajectories=tuple(found)).line())
        return
    if not found:
        typer.echo(
            f"No trajectories of {_plain(repo)!r} yet."
            if repo
            else "No trajectories yet: `agent solve` records one."
        )
        return
    console = _console()
    console.print(_table(found, console), soft_wrap=not console.is_terminal)


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(metavar="ID", help='An id, the beginning of one, or "last".')
    ],
    full: Annotated[bool, typer.Option("--full", help="Cut nothing short.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write all events as JSON lines.")
    ] = False,
) -> None:
    """Show what one trajectory did, event by event."""
    with _store(as_json) as store:
        if store is None:
            raise UsageError(f"no trajectory is called {name!r}: there are none yet")
        trajectory = store.resolve(name)
        events = store.events(trajectory)
        if as_json:
            for event in events:
                typer.echo(json.dumps(event.model_dump(mode="json")))
            return
        from agent.ui.trajectory import render

        console = _console()
        for paragraph in render(events, full=full):
            console.print(paragraph, soft_wrap=True)
        status = store.status(trajectory)
        if status in ("running", "interrupted"):
            console.print(f"\n{status}", style="bold yellow", highlight=False)


@app.command("feedback")
def feedback(
    name: Annotated[
        str, typer.Argument(metavar="ID", help='An id, the beginning of one, or "last".')
    ],
    outcome: Annotated[
        Outcome, typer.Argument(help="What became of the patch.", case_sensitive=False)
    ],
    note: Annotated[str, typer.Option(help="Why, in your own words.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Write the event as JSON.")] = False,
) -> None:
    """Tell what became of a trajectory's patch: training prefers what people keep."""
    from policies.experience.events import Feedback
    from policies.experience.redact import redact

    event = Feedback.model_validate({"outcome": outcome.value, "note": redact(note)[0]})
    with _store(as_json) as store:
        if store is None:
            raise UsageError(f"no trajectory is called {name!r}: there are none yet")
        trajectory = store.resolve(name)
        store.add_feedback(trajectory, event)
    if as_json:
        from agent.documents import Told

        typer.echo(Told(trajectory=trajectory, feedback=event).line())
    else:
        typer.echo(f"{trajectory}: {outcome.value}")


@app.command("import")
def bring_in(
    file: Annotated[Path, typer.Argument(help="An experience store, as the Action leaves one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON object.")] = False,
) -> None:
    """Take over the trajectories of another store, with the feedback on them."""
    from policies.experience.store import Store

    with reported(as_json=as_json):
        if not file.is_file():
            raise UsageError(f"{file} is no file")
        with Store.open(file) as other, Store.open() as store:
            added = {
                summary.id: store.adopt(summary.id, other.events(summary.id))
                for summary in other.trajectories(-1)
            }
    if as_json:
        from agent.documents import Imported

        typer.echo(Imported(added=added).line())
    else:
        for trajectory, events in added.items():
            typer.echo(f"{trajectory}: {events} new events")


@contextmanager
def _store(as_json: bool) -> Iterator[Store | None]:
    """The user's store, or None when nothing was recorded yet; errors end the command."""
    from policies.experience.store import Store, UnknownTrajectoryError, default_path

    with reported(as_json=as_json):
        if not default_path().exists():
            yield None
            return
        with Store.open() as store:
            try:
                yield store
            except UnknownTrajectoryError as error:
                raise UsageError(str(error)) from error


def _plain(text: str) -> str:
    from agent.ui.text import printable

    return printable(text)


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_PIPE, highlight=False)


def _table(found: list[Summary], console: Console) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from agent.ui.trajectory import duration

    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for title in ("id", "when", "repository", "issue", "model", "status"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for title in ("attempts", "tokens", "time"):
        table.add_column(title, no_wrap=True, justify="right")
    for summary in found:
        tokens = f"{summary.prompt_tokens:,} + {summary.completion_tokens:,}"
        cells = (
            summary.short,
            f"{summary.started.astimezone():%Y-%m-%d %H:%M}",
            _tail(summary.repository),
            summary.issue,
            _tail(summary.model),
            summary.status,
            str(summary.attempts),
            tokens,
            duration(summary.seconds),
        )
        table.add_row(*(Text(_plain(cell).replace("\n", " ")) for cell in cells))
    return table


def _tail(name: str) -> str:
    """The last part of a path or of a model's name, shortened for a column."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return last if len(last) <= 32 else f"{last[:31]}…"
