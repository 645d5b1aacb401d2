"""The live view in a terminal: log above, status line below, drawn from events alone."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax
from rich.text import Text

from agent.ui.lines import counts, line
from agent.ui.text import printable
from policies.base import Progress
from policies.experience.events import Event, Judged, Patched, Sampled, Tested

STYLES = {"verdict   verified": "bold green", "verdict": "bold red", "mistake": "yellow"}


class LiveView:
    """A context manager and a listener. Shows phase, attempt, tokens/s, tests, and diffs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting")
        self._where = "preparing"
        self._tests = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event | Progress) -> None:
        """Show an event."""
        if isinstance(event, Progress):
            speed = event.completion_tokens / event.seconds if event.seconds else 0.0
            return self._status(f"{event.completion_tokens} tokens, {speed:.0f} tokens/s")
        if isinstance(event, Tested):
            self._tests = f"{event.label}: {counts(event)}"
        if event.attempt is not None and event.attempt >= 0:
            self._where = f"attempt {event.attempt + 1}, round {(event.round or 0) + 1}"
        if text := line(event):
            style = next((s for prefix, s in STYLES.items() if text.startswith(prefix)), "")
            self._bar.console.print(Text(text, style=style), highlight=False)
        if isinstance(event, Patched) and event.diff:
            diff = printable(event.diff)
            self._bar.console.print(Syntax(diff, "diff", background_color="default"))
        waiting = {Sampled: "tests", Judged: "selecting"}.get(type(event), event.phase or "")
        return self._status(waiting)

    def _status(self, what: str) -> None:
        parts = [part for part in (self._where, what, self._tests) if part]
        self._bar.update(self._task, description=" · ".join(parts))
