"""The view where there is no terminal: a line per event on standard error."""

from __future__ import annotations

import contextlib
import sys

from agent.ui.lines import line
from policies.base import Progress
from policies.experience.events import Event


def show(event: Event | Progress) -> None:
    """Print the event's line, if it has one."""
    if text := line(event):
        with contextlib.suppress(BrokenPipeError):
            print(text, file=sys.stderr, flush=True)
